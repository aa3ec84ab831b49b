"""Submitted runs as text: a line that counts, and a table of what we and SLURM know of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from paa.launch.status import Row
from paa.store.paths import RunPaths
from paa.store.state import state

HEADER = ("run", "what", "state", "SLURM")
_ORDER = ("running", "failed", "unknown", "missing", "cancelled", "ended", "pending")


def summary(every: Sequence[Row]) -> str:
    """Return "28 runs: 3 done, 2 running, 23 pending"."""
    counts = Counter(row.kind for row in every)
    return f"{len(every)} runs: " + ", ".join(f"{counts[k]} {k}" for k in ("done", *_ORDER) if counts[k])


def lines(every: Sequence[Row], runs_dir: Path, most: int) -> list[list[str]]:
    """Return the rows of HEADER: running ones first, without the done ones, at most `most`."""
    common = set.intersection(*(set(row.entry.overrides) for row in every)) if len(every) > 1 else set()
    left = sorted((row for row in every if row.kind != "done"), key=lambda row: _ORDER.index(row.kind))
    body = []
    for row in left[:most]:
        what = " ".join(one for one in row.entry.overrides if one not in common) or "defaults"
        body.append([row.entry.train_id, what, _ours(row, runs_dir), _slurms(row)])
    return body + ([["...", f"and {len(left) - most} more", "", ""]] if len(left) > most else [])


def _ours(row: Row, runs_dir: Path) -> str:
    """Return what the run's own folder says."""
    paths = RunPaths(runs_dir, row.entry.train_id)
    if not paths.folder.is_dir():
        return "not started"
    found = state(paths)
    return found.kind + (f", step {found.step}" if found.step is not None and found.kind != "done" else "")


def _slurms(row: Row) -> str:
    """Return what SLURM says, with the job's id; of one that failed, its error and its log."""
    text = str(row.job) if row.kind in ("pending", "running") else str(row)
    log = f"; log: {row.log}" if row.kind == "failed" and row.log is not None else ""
    return f"{row.id} {text}{log}" if row.id else text
