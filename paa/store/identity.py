"""Identities: a run is named after what its numbers depend on.

`train_id` is a digest of everything that can change the weights, `eval_id` of everything that can change a detection
once the weights are there. Both are pure functions of plain (resolved) configurations.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from paa import NUMERICS
from paa.store.code_digest import LIBRARIES, source_digest
from paa.store.errors import IdentityError

TRAINING = frozenset(
    {
        "seed",
        "data",
        "images",
        "backbone",
        "detector",
        "anchors",
        "assign",
        "auxiliary",
        "coder",
        "criterion",
        "optim",
        "schedule",
        "train",
        "debug",
        "finetune",
        "precision",  # these three in the last digits, where they are not as ever
        "channels_last",
        "compile",
    }
)
"""Top-level nodes that can change the weights."""

TESTING = frozenset({"data", "images", "postprocess", "debug"})
"""Top-level nodes that can change a detection once the weights are there."""

NEITHER = frozenset(
    {
        "plan",  # whether anything is run at all
        "device",  # the same computation elsewhere
        "threads",
        "workers",
        "runs_dir",
        "compat",  # its values reach what uses them by interpolation, and count there
        "recipe",
        "pretrained",  # as these two
        "evaluate",  # which evaluations are asked for; each has an id of its own
        "checkpoint",
        "lock",
        "tracking",
    }
)
"""Top-level nodes that can change no number."""

# Keys inside of the nodes above that count on neither side or on one side alone.
_NEVER = (
    "data.root",  # in its place stands the digest of what lies there
    "data.train",
    "data.val",
    "data.test",
    "data.split",  # which evaluation is asked for; each has an id of its own
    "data.train_list",  # of these, too, the digest tells what came of them
    "data.val_list",
    "data.test_list",
    "data.classes",
    "data.difficult",
    "data.on_invalid",  # the digest is of what is left, and of which images are turned
    "data.verify",
    "data.exif",
    "backbone.expects",  # what comes of it stands in backbone.convention
    "train.accumulate",  # the same step in smaller parts
    "debug.profile",
)
_NOT_TRAINING = ("images.test",)
_NOT_TESTING = ("images.train", "images.boxes", "images.empty", "images.degenerate_boxes", "images.min_side")

VOTING = ("voting_weight", "sigma_t", "voting_iou")
"""Keys of `postprocess` that count only where voting is on."""

INERT: dict[str, Any] = {
    "backbone.dcn_stages": [],
    "detector.head.dcn": False,
    "finetune.from": None,
    "precision": "fp32",
    "channels_last": True,
    "compile": False,
    "postprocess.frame": "input",
    "images.degenerate_boxes": "keep",
    "backbone.dcn_init": "random",
    "detector.head.dcn_init": "random",
    "postprocess.multiscale": {},
    "postprocess.ranked_by": "unified",
    "postprocess.drop_empty": False,
    "train.aspect_grouping": "at_least",
    "criterion.floor": 1,
    "postprocess.padding": "keep",
}
"""Keys that are younger than recorded runs: {dotted key: the value that means "as before it existed"}. A key at that
value is left out of the digest, so that a new key renames no run. Keys are added here with the change that makes them,
and stay."""

INERT_BESIDE: tuple[tuple[str, Any, dict[str, Any]], ...] = (
    ("criterion.zero_weights", "keep", {"criterion.normalizer": "modern"}),
    ("criterion.zero_weights", "unweighted", {"criterion.normalizer": "official"}),
    ("criterion.zero_weights", "floor", {"criterion.normalizer": "mmdet"}),
    ("criterion.epsilon", 0, {"criterion.normalizer": "modern"}),
    ("criterion.epsilon", 0, {"criterion.normalizer": "official"}),
    ("criterion.epsilon", 1.1920929e-07, {"criterion.normalizer": "mmdet"}),
    ("images.interpolation", "pil", {"images.resize": "round"}),
    ("images.interpolation", "pil", {"images.resize": "truncate"}),
    ("images.interpolation", "plain", {"images.resize": "half_up"}),
    (
        "images.degenerate_boxes",
        "drop",
        {"images.legacy": True, "images.empty": "drop"},
    ),  # which drop such boxes and their images
    ("backbone.dcn_init", "zero", {"backbone.dcn_stages": []}),  # where there is none
    ("detector.head.dcn_init", "zero", {"detector.head.dcn": False}),
)
"""The same where older keys settled what a younger one now says: (key, value, {older key: its value}). The key is left
out at that value, where all of these older ones have these values."""

CONVERTED = "x"
"""First letter of the id of a run that was converted from another project's weights, and not trained here."""

_DIGITS = 10


def train_id(config: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    """Name of the training that `config` describes: "t" and 10 hex digits.

    config   resolved configuration in plain types (dict, list, str, int, float, bool, None), without Hydra's own node.
    digests  content digests: "data.train" of the training split (required), and one for each key that holds a path to a
             local file ("backbone.weights"), which takes the place of the path.
    IdentityError: an unknown top-level node, a missing digest, a value that is not plain.
    """
    return _name("t", _payload(config, digests, TRAINING, _NOT_TRAINING, "train"))


def converted_id(config: Mapping[str, Any], weights_sha256: str) -> str:
    """Name of a run that `config` describes and whose weights were converted: CONVERTED and 10 hex digits.

    weights_sha256  digest of the weights under our names: it stands where a training's identity has its data.
    No training has such a name, whatever its configuration. Errors as in `train_id`.
    """
    return _name(CONVERTED, _payload(config, {"data.train": weights_sha256}, TRAINING, _NOT_TRAINING, "train"))


def eval_id(config: Mapping[str, Any], digests: Mapping[str, str], split: str, voting: bool | None = None) -> str:
    """Name of an evaluation of a training on `split`: "e" and 10 hex digits.

    digests  must hold "data.<split>", the content digest of the split's annotations and images.
    voting   takes the place of `postprocess.voting`; None leaves it. Errors as in `train_id`.
    """
    node = dict(config["postprocess"])
    if voting is not None:
        node["voting"] = voting
    if not node["voting"]:
        node = {key: value for key, value in node.items() if key not in VOTING}
    config = {**config, "postprocess": node}
    return _name("e", _payload(config, digests, TESTING, _NOT_TESTING, split))


def canonical(value: Any) -> str:
    """`value` as the text that is digested: JSON with sorted keys; 1 and 1.0 are equal, tuples are lists.

    Other floats are written as the shortest text that reads back as the same float. IdentityError names the key of a
    value that is not plain.
    """
    return json.dumps(_plain(value, ""), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex; for local weights."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _name(letter: str, payload: Mapping[str, Any]) -> str:
    # A letter that is no hex digit: a bare hex name can read as a number (4e074085 is infinity in YAML).
    return letter + hashlib.sha256(canonical(payload).encode()).hexdigest()[:_DIGITS]


def _payload(
    config: Mapping[str, Any], digests: Mapping[str, str], nodes: frozenset[str], left_out: tuple[str, ...], split: str
) -> dict[str, Any]:
    for node in config:
        if node not in TRAINING | TESTING | NEITHER:
            raise IdentityError(f"{node}: unknown top-level node; paa/runs/identity.py must say what it can change")
    content = digests.get(f"data.{split}")
    if content is None:
        raise IdentityError(f"data.{split}: no content digest of this split; it stands in the identity for data.root")
    counted = _arguments({node: config[node] for node in config if node in nodes})
    for key, digest in digests.items():
        if not key.startswith("data.") and _has(counted, key):
            _put(counted, key, {"content": digest})
    _refuse_files(counted)
    for key in (*_NEVER, *left_out):
        _drop(counted, key)
    for key in _inert(counted):
        _drop(counted, key, prune=True)
    foreign = {t: source_digest(t) for t in foreign_targets(counted)}
    payload: dict[str, Any] = {"config": counted, "content": content, "numerics": NUMERICS}
    return payload | ({"sources": foreign} if foreign else {})


def _inert(counted: dict[str, Any]) -> list[str]:
    """The keys of the tree that say no more than was so before they existed."""

    def stands(key: str, value: Any) -> bool:
        return _has(counted, key) and canonical(_get(counted, key)) == canonical(value)

    alone = [key for key, before in INERT.items() if stands(key, before)]
    return alone + [
        key
        for key, before, older in INERT_BESIDE
        if stands(key, before) and all(stands(*item) for item in older.items())
    ]


def _arguments(node: Any) -> Any:
    """A copy without the keys that are for other nodes to read ("_name_", `_target_` aside): they are no arguments."""
    if isinstance(node, Mapping):
        return {k: _arguments(v) for k, v in node.items() if k == "_target_" or not str(k).startswith("_")}
    return [_arguments(item) for item in node] if isinstance(node, list | tuple) else node


def _refuse_files(counted: Mapping[str, Any]) -> None:
    weights = counted["backbone"].get("weights") if isinstance(counted.get("backbone"), Mapping) else None
    start = counted["finetune"].get("from") if isinstance(counted.get("finetune"), Mapping) else None
    if isinstance(weights, str) and (Path(weights).suffix or len(Path(weights).parts) > 1):
        raise IdentityError(
            f"backbone.weights={weights}: a local file counts by its content, and there is no digest of it"
        )
    if isinstance(start, str):
        raise IdentityError(f"finetune.from={start}: counts by its content, and there is no digest of it")


def foreign_targets(config: Mapping[str, Any]) -> list[str]:
    """Every `_target_` of a configuration whose code is somebody's own, and counts by its source."""
    return list(dict.fromkeys(t for t in _targets(config) if t.split(".")[0] not in LIBRARIES))


def _targets(node: Any) -> Iterator[str]:
    """Every `_target_` in `node`, in the order of the tree; one may come twice."""
    if isinstance(node, Mapping):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _targets(value)


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


def _parent(tree: Any, key: str) -> Any:
    for name in key.split(".")[:-1]:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree if isinstance(tree, dict) else {}


def _has(tree: dict[str, Any], key: str) -> bool:
    return key.split(".")[-1] in _parent(tree, key)


def _get(tree: dict[str, Any], key: str) -> Any:
    return _parent(tree, key)[key.split(".")[-1]]


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    _parent(tree, key)[key.split(".")[-1]] = value


def _drop(tree: dict[str, Any], key: str, prune: bool = False) -> None:
    """Removes `key`; with `prune`, also the nodes that this leaves empty: before the key, they did not exist."""
    parent = _parent(tree, key)
    parent.pop(key.split(".")[-1], None)
    if prune and not parent and "." in key:
        _drop(tree, key.rpartition(".")[0], prune=True)
