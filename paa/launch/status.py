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
    every = [(sweep, entry) for entry in (sweep.entries if entries is None else entries)]
    return {entry.number: status for (_, entry), status in zip(every, look(every, runs_dir), strict=True)}


def look(every: Sequence[tuple[Sweep, Entry]], runs_dir: Path) -> list[Status]:
    """The status of entries of any sweeps, from one look at SLURM."""
    known = {sweep.folder: _Submitted(sweep) for sweep in {s.folder: s for s, _ in every}.values()}
    done = [entry.done(runs_dir) for _, entry in every]
    asked: set[str] = set()
    nameless: dict[str, Array] = {}
    for (sweep, entry), is_done in zip(every, done, strict=True):
        one = known[sweep.folder]
        if not is_done:
            asked |= {one.ids[entry.number]} if entry.number in one.ids else set()
            nameless |= {array.name: array for array in [one.last.get(entry.number)] if array and array.job is None}
    jobs: dict[str, Job] = {}
    problem = ""
    try:
        jobs = queue.look(asked, list(nameless)) if asked or nameless else {}
    except queue.NoAnswer as error:
        problem = str(error)
    found_by_name = _by_name(list(nameless.values()), jobs)
    found = []
    for (sweep, entry), is_done in zip(every, done, strict=True):
        one = known[sweep.folder]
        last = one.last.get(entry.number)
        name = one.ids.get(entry.number)
        logs = Path(last.logs) if last is not None and last.logs is not None else sweep.logs
        if last is not None and last.job is None:  # a submission that nobody could note to its end
            name = found_by_name.get((last.name, entry.number), name)
        if is_done:
            found.append(Status("done", id=name))
        elif problem:
            found.append(Status("unknown", problem, name, _log(logs, name)))
        else:
            found.append(_status(logs, name, jobs))
    return found


class _Submitted:
    """What a sweep's folder says of its jobs: the id of each entry's, and the array that it was last in."""

    def __init__(self, sweep: Sweep) -> None:
        arrays = sweep.arrays()
        self.ids = sweep.ids(arrays)
        self.last = {number: array for array in arrays for part in array.parts for number in part}


def of_job(job: Job) -> str:
    """The kind of a job that SLURM lists and that has not ended."""
    return "pending" if job.state in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT") else "running"


def _status(logs: Path, name: str | None, jobs: Mapping[str, Job]) -> Status:
    if name is None:
        return Status("missing", "was never submitted")
    job, log = jobs.get(name), _log(logs, name)
    if job is not None and not job.over:
        return Status(of_job(job), str(job), name, log, job)
    if job is not None and job.state in ("CANCELLED", "PREEMPTED"):  # whatever an earlier attempt has left
        return Status("cancelled", "" if job.state == "CANCELLED" else "preempted", name, log, job)
    error = error_of(logs, name)
    if error is not None:
        return Status("failed", error, name, log, job)
    if job is None:
        return Status("missing", f"SLURM knows no job {name} any more", name, log)
    if job.state == "COMPLETED":
        return Status("ended", "left to another process, see its log", name, log, job)
    last = last_line(log)
    return Status("failed", f"{job.state}{f', {last}' if last else ''}", name, log, job)


def error_of(logs: Path, name: str) -> str | None:
    """The last line of the error that a job ended with; None where it left none.

    Each process of a job leaves one. The first in time is the cause: the others' are of its silence.
    """
    for path in sorted(logs.glob(f"{name}_*_result.pkl"), key=_written):
        try:
            outcome, value = pickle.loads(path.read_bytes())
        except Exception:  # cut off in the writing: the log says more
            continue
        if outcome == "error":
            lines = [line for line in str(value).splitlines() if line.strip()]
            return _told(lines[-1]) if lines else "failed"
    return None


def _written(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_mtime_ns, path.name
    except OSError:  # removed since it was listed
        return 0, path.name


def last_line(log: Path | None) -> str:
    """The last line of a log with anything in it."""
    try:
        lines = log.read_bytes()[-4096:].decode("utf-8", "replace").splitlines() if log is not None else []
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _told(line: str) -> str:
    """The message of the last line of a traceback; the name of our own wrapper says nothing."""
    return line.removeprefix("paa.experiment.job.JobFailed: ")


def _log(logs: Path, name: str | None) -> Path | None:
    return None if name is None else logs / f"{name}_0_log.out"


def _by_name(nameless: Sequence[Array], jobs: Mapping[str, Job]) -> dict[tuple[str, int], str]:
    """{(array, entry): id} of arrays whose number nobody noted, by the name that they have in the queue."""
    found: dict[tuple[str, int], str] = {}
    for array in nameless:
        mains = {job.id.partition("_")[0] for job in jobs.values() if job.name == array.name}
        if mains:
            ids = Array(array.name, array.parts, array.at, max(mains, key=int)).ids()
            found |= {(array.name, number): one for number, one in ids.items()}
    return found
