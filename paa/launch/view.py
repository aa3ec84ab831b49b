"""The runs that were submitted, as rows: what we know of each beside what SLURM says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paa.launch.ledger import Entry, Sweep, sweeps
from paa.launch.status import Status, look
from paa.store.paths import RunPaths
from paa.store.state import state

_ORDER = ("running", "failed", "unknown", "missing", "cancelled", "ended", "pending", "done")

HEADER = ("run", "what", "state", "SLURM")


@dataclass(frozen=True)
class Row:
    """A job of a sweep and where it stands."""

    sweep: Sweep
    entry: Entry
    status: Status

    @property
    def identity(self) -> tuple[str, tuple[str, ...]]:
        """Of its training and of the evaluations that it asks for: alike for jobs that are the same run."""
        return self.entry.train_id, self.entry.evals


def submissions(runs_dir: Path) -> list[Row]:
    """Every job that ever went to SLURM, sweep by sweep, those of one run included. Warns as `ledger.sweeps` does."""
    every = [(sweep, entry) for sweep in sweeps(runs_dir) if not sweep.local for entry in sweep.entries]
    return [Row(sweep, entry, status) for (sweep, entry), status in zip(every, look(every, runs_dir), strict=True)]


def rows(runs_dir: Path) -> list[Row]:
    """Every run that went to SLURM, once: of the jobs that are the same run the one in the queue, or else the latest.

    Warns as `ledger.sweeps` does.
    """
    found: dict[tuple[str, tuple[str, ...]], Row] = {}
    for row in submissions(runs_dir):
        if row.identity not in found or not found[row.identity].status.active or row.status.active:
            found[row.identity] = row
    return list(found.values())


def select(every: Sequence[Row], what: str) -> list[Row]:
    """The rows of a sweep, of a table or another key of the command line, or of one run by the beginning of its id."""
    named = [row for row in every if row.sweep.name == what]
    named = named or [row for row in every if any(o.lstrip("+").partition("=")[0] == what for o in row.entry.overrides)]
    if named or not what:
        return named
    found = [row for row in every if row.entry.train_id.startswith(what)]
    return found if len({row.entry.train_id for row in found}) == 1 else []


def lines(every: Sequence[Row], runs_dir: Path, most: int | None = None) -> tuple[str, list[list[str]]]:
    """A line that counts, and the rows of HEADER: running ones first, done ones left out, `most` of them at most."""
    counts = Counter(row.status.kind for row in every)
    head = ", ".join(f"{counts[kind]} {kind}" for kind in ("done", *_ORDER[:-1]) if counts[kind]) or "nothing submitted"
    common = set.intersection(*(set(row.entry.overrides) for row in every)) if len(every) > 1 else set()
    left = sorted((row for row in every if row.status.kind != "done"), key=lambda row: _ORDER.index(row.status.kind))
    shown = left if most is None else left[:most]
    body = [[row.entry.train_id, what(row, common), ours(row, runs_dir), slurms(row)] for row in shown]
    if len(shown) < len(left):
        body.append(["...", f"and {len(left) - len(shown)} more", "", ""])
    return f"{len(every)} runs: {head}", body


def what(row: Row, common: set[str]) -> str:
    """The overrides that tell it from the others."""
    return " ".join(one for one in row.entry.overrides if one not in common) or "defaults"


def ours(row: Row, runs_dir: Path) -> str:
    """What the run's own folder says."""
    paths = RunPaths(runs_dir, row.entry.train_id)
    if not paths.folder.is_dir():
        return "not begun"
    found = state(paths)
    step = f", step {found.step}" if found.step is not None and found.kind != "done" else ""
    return f"{found.kind}{step}"


def slurms(row: Row) -> str:
    """What SLURM says, with the job's id; of one that failed, its error and its log."""
    status = row.status
    if status.kind == "done":
        return ""
    name = f"{status.id} " if status.id else ""
    if status.active and status.job is not None:
        return f"{name}{status.job}"
    log = f"; log: {status.log}" if status.kind == "failed" and status.log is not None else ""
    return f"{name}{status}{log}"
