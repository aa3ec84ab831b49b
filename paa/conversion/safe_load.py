"""Checkpoints of other projects: of what torch saved, the tensors are read, and of their description what is plain.

Nothing in a file is executed. `torch.load(weights_only=True)` knows tensors and plain containers; the objects of INERT,
which training leaves beside the tensors, are read past: whatever would be made of them is an empty object. A file that
holds any other class or function is refused by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from paa.conversion.errors import ConversionError

INERT = {
    "numpy.core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "numpy": ("dtype", "ndarray"),
    "argparse": ("Namespace",),
    "datetime": ("date", "datetime", "timedelta"),
    "pathlib": ("Path", "PosixPath", "WindowsPath"),
    "pathlib._local": ("PosixPath",),
    "mmengine.logging.history_buffer": ("HistoryBuffer",),
}
"""Classes and functions, by module, in whose place an empty object is put."""

WRAPPERS = ("model", "state_dict")
"""Keys below which a checkpoint holds its state dict: of maskrcnn-benchmark, and of MMDetection."""


class LoadedCheckpoint(NamedTuple):
    """What a checkpoint holds.

    state    names to tensors, without the "module." that parallel training puts before each.
    text     the configuration that it states as text (MMDetection), or "".
    classes  names of the classes that it states (MMDetection), or None.
    skipped    full names of the objects of INERT that it holds.
    """

    state: dict[str, Tensor]
    text: str = ""
    classes: tuple[str, ...] | None = None
    skipped: tuple[str, ...] = ()


def load(path: Path) -> LoadedCheckpoint:
    """Read what the checkpoint at `path` holds. ConversionError where there is no state dict in it, or code."""
    if not path.is_file():
        raise ConversionError(f"{path}: no such file; must be a checkpoint, .pth or .pkl")
    met: set[str] = set()
    try:
        with _read_past(met):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load fails with many types, by the kind of damage
        raise _refusal(path, error) from error
    held = found if isinstance(found, Mapping) else {}
    state = next((held[key] for key in WRAPPERS if isinstance(held.get(key), Mapping)), held)
    if not any(isinstance(value, Tensor) for value in state.values()):
        below = " or ".join(WRAPPERS)
        raise ConversionError(f"{path}: holds no state dict; must hold names and tensors, directly or below {below}")
    strange = [str(name) for name, value in state.items() if not (isinstance(name, str) and isinstance(value, Tensor))]
    if strange:
        raise ConversionError(f"{path}: no tensors: {', '.join(strange)}; a state dict holds only names and tensors")
    prefix = "module." if all(name.startswith("module.") for name in state) else ""
    tensors = {name.removeprefix(prefix): value.detach() for name, value in state.items()}
    text, classes = _described(held.get("meta"))
    return LoadedCheckpoint(tensors, text, classes, tuple(sorted(met)))


def _described(meta: Any) -> tuple[str, tuple[str, ...] | None]:
    """Configuration and class names of MMDetection's `meta`, in its versions 2 and 3."""
    if not isinstance(meta, Mapping):
        return "", None
    text = next((meta[key] for key in ("cfg", "config") if isinstance(meta.get(key), str)), "")
    nested = meta.get("dataset_meta")
    lists = [meta.get("CLASSES"), *(nested.get(key) for key in ("classes", "CLASSES") if isinstance(nested, Mapping))]
    named = (n for n in lists if isinstance(n, list | tuple) and n and all(isinstance(name, str) for name in n))
    return text, next(map(tuple, named), None)


class _Empty:
    """Stands for an object that is not read: takes any arguments and any state, and keeps nothing."""

    met: set[str]

    def __new__(cls, *args: Any, **kwargs: Any) -> _Empty:
        cls.met.add(f"{cls.__module__}.{cls.__qualname__}")
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Keep nothing, nor of a state."""

    __setstate__ = __init__


@contextmanager
def _read_past(met: set[str]) -> Iterator[None]:
    """Within the block torch.load puts empty objects in the place of INERT; those that it meets are added to `met`."""
    empty: list[Any] = [
        type(name, (_Empty,), {"__module__": module, "__qualname__": name, "met": met})
        for module, names in INERT.items()
        for name in names
    ]
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals(empty)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _refusal(path: Path, error: Exception) -> ConversionError:
    code = re.search(r"\bGLOBAL ([\w.]+)", str(error))
    if code is not None:
        hint = "where you trust it, save only its state dict and convert that"
        return ConversionError(f"{path}: holds {code[1]}, which is code and is not read; {hint}")
    reason = "no file of torch.save, or a damaged one"
    if isinstance(error, OSError | RuntimeError):  # others say a byte of the pickle, or advise to execute the file
        reason = str(error).strip().partition("\n")[0]
    return ConversionError(f"{path}: cannot be read as only tensors ({reason})")
