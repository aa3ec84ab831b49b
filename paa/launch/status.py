"""The state of each submitted job: from the run's records, from what SLURM knows, and from what the job left behind."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paa.launch import queue
from paa.launch.ledger import Entry, Sweep, sweeps
from paa.launch.queue import Job

QUEUED = ("pending", "running")
"""Kinds of a job that SLURM has in its queue."""

Identity = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class Row:
    """A job of a sweep and its state.

    kind    done; pending, running (in SLURM's queue); failed; cancelled; ended, without a failure and without records;
            missing: SLURM knows no job of it; unknown: SLURM does not answer.
    detail  SLURM's view, or the last line of the error.
    id      of the job that was submitted last, None where there is none; job, what SLURM knows of it.
    """

    sweep: Sweep
    entry: Entry
    kind: str
    detail: str = ""
    id: str | None = None
    job: Job | None = None

    @property
    def active(self) -> bool:
        """Whether it is in the queue, or may be."""
        return self.kind in (*QUEUED, "unknown")

    @property
    def log(self) -> Path | None:
        """What the first process of its job printed."""
        name = f"{self.id}_0_log.out" if self.sweep.launcher == "slurm" else f"{self.id}.log"
        return None if self.id is None else self.sweep.logs / name

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


def submissions(runs_dir: Path) -> list[Row]:
    """Return every job that was ever submitted to SLURM, sweep by sweep. Warns as `ledger.sweeps` does."""
    every = [(sweep, entry) for sweep in sweeps(runs_dir) if sweep.launcher == "slurm" for entry in sweep.entries]
    return look(every, runs_dir)


def rows(runs_dir: Path) -> list[Row]:
    """Return every run that was submitted to SLURM, once. Warns as `ledger.sweeps` does."""
    return list(latest(submissions(runs_dir)).values())


def latest(every: Iterable[Row]) -> dict[Identity, Row]:
    """Return one row for each run: of the jobs that are the same run the one in the queue, or else the last one."""
    found: dict[Identity, Row] = {}
    for row in every:
        known = found.get(row.entry.identity)
        if known is None or row.active or (not known.active and (row.id is not None or known.id is None)):
            found[row.entry.identity] = row
    return found


def select(every: Sequence[Row], what: str) -> list[Row]:
    """Return the rows of a sweep, of a table or another key of the command line, or of one run by its ID's prefix."""
    named = [row for row in every if row.sweep.name == what]
    named = named or [row for row in every if any(o.lstrip("+").partition("=")[0] == what for o in row.entry.overrides)]
    if named or not what:
        return named
    found = [row for row in every if row.entry.train_id.startswith(what)]
    return found if len({row.entry.train_id for row in found}) == 1 else []


def look(every: Sequence[tuple[Sweep, Entry]], runs_dir: Path) -> list[Row]:
    """Return the row of each entry, from one look at SLURM; it is not asked about runs that are done."""
    done = [entry.done(runs_dir) for _, entry in every]
    left = {sweep.folder: sweep for (sweep, _), over in zip(every, done, strict=True) if not over}
    arrays = {folder: sweep.arrays() for folder, sweep in left.items()}
    ids: dict[tuple[Path, int], str] = {}
    jobs: dict[str, Job] = {}
    problem = ""
    try:
        lost = queue.array_ids([array.name for found in arrays.values() for array in found if array.job is None])
        for folder, found in arrays.items():
            for array in found:
                named = replace(array, job=array.job or lost.get(array.name))
                ids |= {(folder, number): name for number, name in named.ids().items()}
        asked = ((sweep.folder, entry.number) for (sweep, entry), over in zip(every, done, strict=True) if not over)
        jobs = queue.look({ids[one] for one in asked if one in ids})
    except queue.NoAnswer as error:
        problem = str(error)
    out = []
    for (sweep, entry), over in zip(every, done, strict=True):
        name = ids.get((sweep.folder, entry.number))
        if over:
            out.append(Row(sweep, entry, "done", id=name))
        elif problem:
            out.append(Row(sweep, entry, "unknown", problem, name))
        else:
            out.append(Row(sweep, entry, *_state(sweep, name, jobs), name, jobs.get(name or "")))
    return out


def _state(sweep: Sweep, name: str | None, jobs: Mapping[str, Job]) -> tuple[str, str]:
    """Return kind and detail of the job `name`."""
    if name is None:
        return "missing", "never submitted"
    job = jobs.get(name)
    if job is not None and not job.ended:
        return "pending" if job.pending else "running", str(job)
    if job is not None and job.state in ("CANCELLED", "PREEMPTED"):  # whatever an earlier attempt has left
        return "cancelled", "" if job.state == "CANCELLED" else "preempted"
    error = error_of(sweep.logs, name)
    if error is not None:
        return "failed", error
    if job is None:
        return "missing", f"SLURM no longer knows job {name}"
    if job.state == "COMPLETED":
        return "ended", "skipped, or left to another process; see its log"
    last = last_line(sweep.logs / f"{name}_0_log.out")
    return "failed", f"{job.state}, {last}" if last else job.state


class _Plain(pickle.Unpickler):
    """Loads text and tuples only: a pickle that names a class or function could run any code."""

    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"{module}.{name}: not plain data")


def error_of(logs: Path, name: str) -> str | None:
    """Return the last line of the error that a job ended with, which submitit pickled; None where there is none.

    Each process of a job leaves one. The first in time is the cause, the others follow from it.
    """
    for path in sorted(logs.glob(f"{name}_*_result.pkl"), key=lambda path: (path.stat().st_mtime_ns, path.name)):
        try:
            outcome, value = _Plain(io.BytesIO(path.read_bytes())).load()
        except Exception:  # incomplete, or not plain data: the log says more
            continue
        if outcome == "error":
            lines = [line for line in str(value).splitlines() if line.strip()] or ["failed"]
            return lines[-1].removeprefix("paa.experiment.job.JobFailed: ")  # our wrapper's name says nothing
    return None


def last_line(log: Path) -> str:
    """Return the last line of a log that is not empty."""
    try:
        lines = log.read_bytes()[-4096:].decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
