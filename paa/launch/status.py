"""The state of each submitted job: from the run's records, from what SLURM knows, and from what the job left behind."""

from __future__ import annotations

import io
import pickle
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paa.launch import queue
from paa.launch.ledger import Entry, Sweep, sweeps
from paa.launch.queue import Job
from paa.store.paths import RunPaths
from paa.store.status import RunStatus, run_status

HEADER = ("run", "what", "state", "SLURM")
_ORDER = ("running", "failed", "unknown", "missing", "cancelled", "interrupted", "pending")

QUEUED = ("pending", "running")
"""Kinds of a job that SLURM has in its queue."""

Identity = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class Row:
    """A job of a sweep and its state.

    status  "interrupted": ended without an error and without records; "missing": never submitted, or SLURM no longer
            knows it. Its detail is SLURM's view, or the last line of the error.
    id      of the job that was submitted last, None where there is none.
    """

    sweep: Sweep
    entry: Entry
    status: RunStatus
    id: str | None = None

    @property
    def kind(self) -> str:
        """The kind of its status."""
        return self.status.kind

    @property
    def active(self) -> bool:
        """Whether it is in the queue, or may be."""
        return self.kind in (*QUEUED, "unknown")

    @property
    def log(self) -> Path | None:
        """What the first process of its job printed."""
        name = f"{self.id}_0_log.out" if self.sweep.launcher == "slurm" else f"{self.id}.log"
        return None if self.id is None else self.sweep.logs / name


def submitted(runs_dir: Path) -> list[tuple[Sweep, Entry]]:
    """Return every entry of the sweeps that were launched with SLURM. Warns as `ledger.sweeps` does."""
    return [(sweep, entry) for sweep in sweeps(runs_dir) if sweep.launcher == "slurm" for entry in sweep.entries]


def rows(runs_dir: Path) -> list[Row]:
    """Return every run that was submitted to SLURM, once. Warns as `ledger.sweeps` does."""
    return list(latest(look(submitted(runs_dir), runs_dir)).values())


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
        slurm = "" if row.id is None else f"{row.id} {row.status.detail if row.kind in QUEUED else row.status}"
        log = f"; log: {row.log}" if row.kind == "failed" else ""
        name = row.entry.train_id
        body.append([name, what, str(run_status(RunPaths(runs_dir, name))), slurm + log])
    return body + ([["...", f"and {len(left) - most} more", "", ""]] if len(left) > most else [])


def look(every: Sequence[tuple[Sweep, Entry]], runs_dir: Path) -> list[Row]:
    """Return the row of each entry, from one look at SLURM; it is not asked about runs that are done."""
    done = [entry.done(runs_dir) for _, entry in every]
    left = [pair for pair, over in zip(every, done, strict=True) if not over]
    ids: dict[Path, dict[int, str]] = {}
    jobs: dict[str, Job] = {}
    problem = ""
    try:
        ids = {folder: sweep.ids() for folder, sweep in {sweep.folder: sweep for sweep, _ in left}.items()}
        names = {ids[sweep.folder].get(entry.number) for sweep, entry in left}
        jobs = queue.look({name for name in names if name is not None})
    except queue.NoAnswer as error:
        problem = str(error)
    out = []
    for (sweep, entry), over in zip(every, done, strict=True):
        name = ids.get(sweep.folder, {}).get(entry.number)
        if over:
            status = RunStatus("done")
        elif problem:
            status = RunStatus("unknown", detail=problem)
        else:
            status = _status(sweep, name, jobs)
        out.append(Row(sweep, entry, status, name))
    return out


def _status(sweep: Sweep, name: str | None, jobs: Mapping[str, Job]) -> RunStatus:
    """Return the status of the job `name`."""
    if name is None:
        return RunStatus("missing", detail="never submitted")
    job = jobs.get(name)
    if job is not None and not job.ended:
        return RunStatus("pending" if job.pending else "running", detail=str(job))
    if job is not None and job.state in ("CANCELLED", "PREEMPTED"):  # whatever an earlier attempt has left
        return RunStatus("cancelled", detail="" if job.state == "CANCELLED" else "preempted")
    error = error_of(sweep.logs, name)
    if error is not None:
        return RunStatus("failed", detail=error)
    if job is None:
        return RunStatus("missing", detail=f"SLURM no longer knows job {name}")
    if job.state == "COMPLETED":
        return RunStatus("interrupted", detail="left to another process, see its log")
    last = last_line(sweep.logs / f"{name}_0_log.out")
    return RunStatus("failed", detail=f"{job.state}, {last}" if last else job.state)


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
            return lines[-1].removeprefix("paa.experiment.experiment.JobFailed: ")  # our wrapper's name says nothing
    return None


def last_line(log: Path) -> str:
    """Return the last line of a log that is not empty."""
    try:
        lines = log.read_bytes()[-4096:].decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
