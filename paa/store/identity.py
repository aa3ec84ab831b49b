"""Run IDs: a run is named after everything that its numbers depend on.

`train_id` is a digest of everything that can change the weights, `eval_id` of everything that can change a detection
once the weights exist. Both are pure functions of plain (resolved) configurations and of content digests. Which keys
count is declared in `paa.store.settings`, and for `data` in the classes of `paa.datasets`.

IDs are stable: tests/store/frozen_ids.json holds some. A new key would change the ID of every run, so give its node's
class a NEUTRAL, ONLY_IF or NOT_IN_TRAIN_ID, or raise `paa.NUMERICS` if the numbers change as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from paa import NUMERICS
from paa.store import keys
from paa.store.code_digest import resolve, source_digests, user_targets
from paa.store.errors import IdentityError
from paa.store.paths import CONVERTED
from paa.store.settings import ALL, NODES, RunSettings

_DIGITS = 10
_Side = Literal["NOT_IN_TRAIN_ID", "NOT_IN_EVAL_ID"]


def train_id(config: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    """Return the ID of the training that `config` describes: "t" and 10 hex digits.

    config   resolved configuration in plain types (dict, list, str, int, float, bool, None), without Hydra's own node.
    digests  content digests: "data.train" of the training split (required), and one for each key that holds the path of
             a local file ("backbone.weights"), which replaces the path.
    IdentityError: an unknown top-level node, a missing digest, a value that is not plain.
    """
    return _name("t", _payload(config, digests, "NOT_IN_TRAIN_ID", "train"))


def converted_id(config: Mapping[str, Any], weights_sha256: str) -> str:
    """Return the ID of a run that `config` describes and whose weights were imported: CONVERTED and 10 hex digits.

    weights_sha256  digest of the weights under our names: it replaces the digest of the training data.
    No training has such an ID, whatever its configuration. Errors as in `train_id`.
    """
    digests = {"data.train": weights_sha256, "backbone.weights": weights_sha256}
    return _name(CONVERTED, _payload(config, digests, "NOT_IN_TRAIN_ID", "train"))


def eval_id(config: Mapping[str, Any], digests: Mapping[str, str], split: str, voting: bool | None = None) -> str:
    """Return the ID of an evaluation of a training on `split`: "e" and 10 hex digits.

    digests  must contain "data.<split>", the content digest of the split's annotations and images.
    voting   replaces `postprocess.voting`; None keeps it. Errors as in `train_id`.
    """
    if voting is not None:
        config = keys.put(config, "postprocess.voting", voting)
    return _name("e", _payload(config, digests, "NOT_IN_EVAL_ID", split))


def canonical(value: Any) -> str:
    """Return `value` as the text that is hashed: JSON with sorted keys; 1 and 1.0 are equal, tuples are lists.

    Other floats are written as the shortest text that reads back as the same float. IdentityError names the key of a
    value that is not plain.
    """
    return json.dumps(_plain(value, ""), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _name(letter: str, payload: Mapping[str, Any]) -> str:
    # A letter that is no hex digit: a bare hex name can be parsed as a number (4e074085 is infinity in YAML).
    return letter + hashlib.sha256(canonical(payload).encode()).hexdigest()[:_DIGITS]


def _payload(config: Mapping[str, Any], digests: Mapping[str, str], side: _Side, split: str) -> dict[str, Any]:
    content = digests.get(f"data.{split}")
    if content is None:
        raise IdentityError(f"data.{split}: no content digest of this split; it replaces data.root in the ID")
    counted: dict[str, Any] = {}
    for name, value in config.items():
        kind = _class_of(name, value)
        left_out = getattr(kind, side)
        if left_out == ALL or (kind is RunSettings and name in left_out):
            continue
        counted[name] = value
        conditional = (
            key for key, (other, needed) in getattr(kind, "ONLY_IF", {}).items() if keys.get(config, other) != needed
        )
        neutral = (
            key for key, value in getattr(kind, "NEUTRAL", {}).items() if keys.get(config, f"{name}.{key}") == value
        )
        for key in (*left_out, *conditional, *neutral):
            counted = keys.drop(counted, f"{name}.{key}")
    for key, digest in digests.items():
        if not key.startswith("data.") and keys.get(counted, key) is not None:
            counted = keys.put(counted, key, {"content": digest})
    _refuse_files(counted)
    counted = _arguments(counted)
    code = {target: source_digests(target) for target in user_targets(counted)}
    payload: dict[str, Any] = {"config": counted, "content": content, "numerics": NUMERICS}
    return payload | ({"code": code} if code else {})


def _class_of(name: str, value: Any) -> Any:
    """The class that declares which keys of a top-level node count."""
    if name in RunSettings.KEYS:
        return RunSettings
    if name == "data":
        from paa.datasets.formats.base import FolderSource

        source = resolve(value["_target_"])
        return source if hasattr(source, "NOT_IN_TRAIN_ID") else FolderSource
    if name not in NODES:
        raise IdentityError(
            f"{name}: unknown top-level node; paa/store/settings.py must declare whether it counts in run IDs"
        )
    return NODES[name]


def _arguments(node: Any) -> Any:
    """A copy without the keys that other nodes read ("_name_", but not `_target_`): they are no arguments."""
    if isinstance(node, Mapping):
        return {k: _arguments(v) for k, v in node.items() if k == "_target_" or not str(k).startswith("_")}
    return [_arguments(item) for item in node] if isinstance(node, list | tuple) else node


def _refuse_files(counted: Mapping[str, Any]) -> None:
    for key in ("backbone.weights", "finetune.from"):
        value = keys.get(counted, key)
        if isinstance(value, str) and (key, value) != ("backbone.weights", "torchvision"):
            raise IdentityError(f"{key}={value}: a file counts by its content, and there is no digest of it")


def _plain(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise IdentityError(f"{key}: key {name!r} must be text")
        return {name: _plain(item, f"{key}.{name}".lstrip(".")) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{key}.{i}") for i, item in enumerate(value)]
    if type(value) is float:
        return int(value) if value.is_integer() else value
    if value is None or type(value) in (str, bool, int):
        return value
    raise IdentityError(f"{key}: a {type(value).__name__} is not a plain value")
