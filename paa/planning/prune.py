"""`python -m paa.runs prune`: remove runs, final weights, checkpoints, and what killed processes left."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paa import files
from paa.store.errors import RunError
from paa.store.lock import acquire
from paa.store.paths import RunPaths, find, runs
from paa.store.status import live_owner

WHOLE, LEFTOVERS, WEIGHTS, CHECKPOINTS = "the whole run", "leftovers", "final weights", "checkpoints"


@dataclass(frozen=True)
class Piece:
    """Files of a run that can be removed; `what` is WHOLE, LEFTOVERS, WEIGHTS or CHECKPOINTS."""

    run: RunPaths
    what: str
    files: tuple[Path, ...]

    @property
    def bytes(self) -> int:
        """Their size."""
        return sum(file.stat().st_size for file in self.files if file.exists())


def pieces(runs_dir: Path, ids: Sequence[str] = (), weights: bool = False, checkpoints: bool = False) -> list[Piece]:
    """Return what can be removed, by run; runs that a process works on are left out.

    ids          (prefixes of) run IDs: only these runs, and all of each unless a flag names a part; none: every run.
    weights      final weights of finished runs. Imported weights stay: nobody can train them here.
    checkpoints  checkpoints of failed and interrupted runs, which then start over.
    Leftovers are files of killed processes, and checkpoints that a finished run still has. RunNotFound; RunError if a
    named run is locked.
    """
    named = [find(runs_dir, one) for one in ids]
    found = []
    for run in named or runs(runs_dir):
        owner = live_owner(run)
        if owner is not None:
            if named:
                raise RunError(f"{run.train_id}: locked by {owner}; stop it first")
            continue
        if named and not (weights or checkpoints):
            found.append(Piece(run, WHOLE, _files(run.folder)))
            continue
        stale = _files(run.checkpoints) if run.finished else ()
        found.append(Piece(run, LEFTOVERS, (*(f for f in _files(run.folder) if files.is_aside(f)), *stale)))
        if checkpoints and not run.finished:
            found.append(Piece(run, CHECKPOINTS, _files(run.checkpoints)))
        if weights and run.finished and not run.converted and run.weights.exists():
            found.append(Piece(run, WEIGHTS, (run.weights,)))
    return [piece for piece in found if piece.files]


def remove(found: Iterable[Piece]) -> int:
    """Remove the pieces and return the bytes freed; a run that was locked in the meantime stays as it is."""
    freed = 0
    for piece in found:
        run, count = piece.run, piece.bytes
        lock = acquire(run.lock, if_locked="skip")
        if lock is None:
            continue
        with lock:
            if piece.what == CHECKPOINTS and run.finished:  # by another process, since we looked
                continue
            if piece.what == WHOLE:
                # Renamed first: a process that asks for the run now begins a new folder.
                gone = run.folder.rename(run.folder.with_name(f".{run.train_id}{files.ASIDE}"))
                shutil.rmtree(gone)
            for file in piece.files:
                file.unlink(missing_ok=True)
            if run.finished:
                shutil.rmtree(run.checkpoints, ignore_errors=True)
        freed += count
    return freed


def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
