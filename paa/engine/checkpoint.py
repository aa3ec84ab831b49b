"""Checkpoints: all that a training needs to resume bit-exactly, and the weights it ends with."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from paa import files
from paa.checks import UserError


class CheckpointError(UserError, ValueError):
    """A file that is not a whole checkpoint."""


def random_states() -> dict[str, Any]:
    """Return the state of every random generator of the process, in types that `weights_only=True` loads."""
    kind, keys, position, has_gauss, cached = np.random.get_state()  # libraries may draw from the global one
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached],
        "python": random.getstate(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Restore what `random_states` returned."""
    torch.set_rng_state(states["torch"])
    kind, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


def digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over tensors: name, dtype, shape and bytes of each, in the order of their names."""
    found = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def weights_digest(model: nn.Module) -> str:
    """Return the `digest` of the model's parameters and buffers."""
    return digest(model.state_dict())


def save(path: Path, state: Any) -> None:
    """Write `state` atomically, without a second copy of it in memory."""
    with files.replacing(path) as file:
        torch.save(state, file)


def load(path: Path, hint: str = "delete it to resume from the one before") -> Any:
    """Read what `save` wrote onto the CPU, where random states must be; nothing in the file is executed.

    CheckpointError naming the file, and `hint`, where it cannot be read.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: not a readable checkpoint ({reason}); {hint}") from error


class Checkpoints:
    """The checkpoints of one run, `<folder>/<step>.pt`; the last `keep` stay.

    `ensure_lock_held` is called before each write and clearing: it raises LockLost when this process lost the run.
    """

    def __init__(self, folder: Path, keep: int, ensure_lock_held: Callable[[], None] = lambda: None) -> None:
        self.folder, self.keep, self.ensure_lock_held = folder, keep, ensure_lock_held

    def _all(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.iterdir() if re.fullmatch(r"\d{8}\.pt", p.name))

    @property
    def latest(self) -> Path | None:
        """Return the newest checkpoint, or None."""
        return self._all()[-1] if self._all() else None

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write the checkpoint of `step` and remove those beyond `keep`."""
        self.ensure_lock_held()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{step:08d}.pt"
        save(path, state)
        for old in self._all()[: -self.keep]:
            old.unlink()
        return path

    def clear(self) -> None:
        """Remove all: a finished run keeps its final weights only."""
        self.ensure_lock_held()
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                path.unlink()
            self.folder.rmdir()
