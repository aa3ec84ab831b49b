"""Where each job of a sweep stands: from the run's records, what SLURM says, and what the job left behind."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paa.launch import queue
from paa.launch.ledger import Array, Entry, Sweep
from paa.launch.queue import Job

ACTIVE = ("pending", "running")
"""Kinds of a job that may still come to something by itself."""


@dataclass(frozen=True)
class Status:
    """What became of a job.

    kind    done; pending, running (in the queue of SLURM); failed; cancelled; ended, without a failure and without its
            records; missing: no job is known; unknown: SLURM does not answer.
    detail  of SLURM's view, or the last line of the error.
    id, log  of the job that was submitted last, where there is one.
    """

    kind: str
    detail: str = ""
    id: str | None = None
    log: Path | None = None
    job: Job | None = None

    @property
    def active(self) -> bool:
        """Whether it is in the queue, or may be."""
        return self.kind in (*ACTIVE, "unknown")

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


def statuses(sweep: Sweep, runs_dir: Path, entries: Sequence[Entry] | None = None) -> dict[int, Status]:
    """{number: status} of a sweep's entries, or of these. One that is done costs no look at SLURM."""
    found: dict[int, Status] = {}
    arrays = sweep.arrays()
    ids = sweep.ids(arrays)
    left = []
    for entry in sweep.entries if entries is None else entries:
        if entry.done(runs_dir):
            found[entry.number] = Status("done", id=ids.get(entry.number))
        else:
            left.append(entry)
    if not left:
        return found
    nameless = _nameless(arrays, {entry.number for entry in left})
    try:
        jobs = queue.look({ids[e.number] for e in left if e.number in ids}, [array.name for array in nameless])
    except queue.NoAnswer as error:
        told = str(error)
        return found | {
            e.number: Status("unknown", told, ids.get(e.number), _log(sweep, ids.get(e.number))) for e in left
        }
    ids |= _by_name(nameless, jobs)
    return found | {entry.number: _status(sweep, ids.get(entry.number), jobs) for entry in left}


def of_job(job: Job) -> str:
    """The kind of a job that SLURM lists and that has not ended."""
    return "pending" if job.state in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT") else "running"


def _status(sweep: Sweep, name: str | None, jobs: Mapping[str, Job]) -> Status:
    if name is None:
        return Status("missing", "was never submitted")
    job, log = jobs.get(name), _log(sweep, name)
    if job is not None and not job.over:
        return Status(of_job(job), str(job), name, log, job)
    error = error_of(sweep.logs, name)
    if error is not None:
        return Status("failed", error, name, log, job)
    if job is None:
        return Status("missing", f"SLURM knows no job {name} any more", name, log)
    if job.state == "CANCELLED":
        return Status("cancelled", "", name, log, job)
    if job.state == "COMPLETED":
        return Status("ended", "left to another process, see its log", name, log, job)
    last = last_line(log)
    return Status("failed", f"{job.state}{f', {last}' if last else ''}", name, log, job)


def error_of(logs: Path, name: str) -> str | None:
    """The last line of the error that a job ended with; None where it left none."""
    for path in sorted(logs.glob(f"{name}_*_result.pkl")):  # one for each process of the job
        try:
            outcome, value = pickle.loads(path.read_bytes())
        except Exception:  # cut off in the writing: the log says more
            continue
        if outcome == "error":
            lines = [line for line in str(value).splitlines() if line.strip()]
            return _told(lines[-1]) if lines else "failed"
    return None


def last_line(log: Path | None) -> str:
    """The last line of a log with anything in it."""
    try:
        lines = log.read_bytes()[-4096:].decode("utf-8", "replace").splitlines() if log is not None else []
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _told(line: str) -> str:
    """The message of the last line of a traceback; the name of our own wrapper says nothing."""
    return line.removeprefix("paa.cli.jobs.JobFailed: ")


def _log(sweep: Sweep, name: str | None) -> Path | None:
    return None if name is None else sweep.logs / f"{name}_0_log.out"


def _nameless(arrays: Sequence[Array], numbers: set[int]) -> list[Array]:
    """Arrays that were to be submitted and whose number nobody noted, if they are the last ones of any of `numbers`."""
    last = {number: array for array in arrays for part in array.parts for number in part}
    return [a for a in arrays if a.job is None and any(last.get(n) is a for n in numbers)]


def _by_name(nameless: Sequence[Array], jobs: Mapping[str, Job]) -> dict[int, str]:
    found: dict[int, str] = {}
    for array in nameless:
        mains = {job.id.partition("_")[0] for job in jobs.values() if job.name == array.name}
        if mains:
            found |= Array(array.name, array.parts, array.at, max(mains, key=int)).ids()
    return found
