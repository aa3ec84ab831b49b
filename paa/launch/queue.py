"""What SLURM knows of jobs: squeue for those that the controller still has, sacct for the others.

The controller knows immediately what it has done. The accounting lags and may not exist, so it is asked only about jobs
that squeue does not list. Both can be away for a while (the controller restarts): then `NoAnswer`, which does not mean
that there is no such job.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from paa.checks import UserError

_FIELDS = ("JobArrayID", "State", "Reason", "NodeList", "StartTime", "RestartCnt", "Name")
_PENDING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")
_ENDED = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "REVOKED")
_TIMEOUT_S = 60.0


class NoAnswer(UserError):  # noqa: N818
    """SLURM does not answer, or is not installed here. The message is what its command printed."""


@dataclass(frozen=True)
class Job:
    """A job as SLURM sees it.

    id        123, or 123_4 of an array.
    state     PENDING, RUNNING, COMPLETED, ...
    reason    why it is pending; "" where there is none.
    since     time of its last start, 2026-11-25T01:59:21, in the cluster's time zone; "" while it is pending.
    restarts  how often it was requeued; 0 where only the accounting knows the job.
    """

    id: str
    state: str
    reason: str = ""
    nodes: str = ""
    since: str = ""
    restarts: int = 0
    name: str = ""

    @property
    def ended(self) -> bool:
        """Whether it has ended, as of now: SLURM requeues the jobs of a failed node some seconds later."""
        return self.state in (*_ENDED, "OUT_OF_MEMORY")

    @property
    def pending(self) -> bool:
        """Whether it waits for its start or its restart."""
        return self.state in _PENDING

    def __str__(self) -> str:
        text = self.state.lower()
        if self.state == "PENDING" and self.reason:
            text += f" ({self.reason})"
        if self.nodes and not self.ended and not self.pending:
            text += f" on {self.nodes}" + (f" since {self.since[5:16].replace('T', ' ')}" if self.since else "")
        return text + (f", requeued {self.restarts}x" if self.restarts else "")


def available() -> bool:
    """Return whether SLURM's commands are installed here."""
    return shutil.which("squeue") is not None


def look(ids: Collection[str]) -> dict[str, Job]:
    """Return {id: job} of those `ids` (123 or 123_4) that SLURM knows. NoAnswer."""
    if not ids:
        return {}
    found = _named(_squeue("--jobs", _arrays(ids)), ids)
    forgotten = set(ids) - set(found)
    if forgotten:
        command = ["sacct", "--allocations", "--parsable2", "--noheader", "--jobs", _arrays(forgotten)]
        with suppress(NoAnswer):  # a cluster without accounting
            found |= _named(_parse(_answer([*command, "--format=JobID,State,Reason,NodeList,Start"])), forgotten)
    return found


def array_ids(names: Collection[str]) -> dict[str, str]:
    """Return {name: id of the latest job or array of that name} for this user's jobs. NoAnswer."""
    jobs = _squeue("--me", "--name", ",".join(names)) if names else []
    return {job.name: job.id.partition("_")[0] for job in sorted(jobs, key=lambda job: int(job.id.partition("_")[0]))}


def cancel(ids: Iterable[str]) -> None:
    """Cancel jobs. NoAnswer."""
    _answer(["scancel", *sorted(ids)])


def max_array_size() -> int:
    """Return how many jobs an array of this cluster may have. NoAnswer."""
    found = re.search(r"^MaxArraySize\s*=\s*([1-9]\d*)", _answer(["scontrol", "show", "config"]), re.MULTILINE)
    return int(found.group(1)) if found else 1001  # SLURM's default


def _arrays(ids: Collection[str]) -> str:
    return ",".join(sorted({one.partition("_")[0] for one in ids}))


def _named(jobs: Sequence[Job], wanted: Collection[str]) -> dict[str, Job]:
    """Return {id: job} of the wanted ids.

    SLURM lists what was cancelled of an array before it started as one job, under the array's number or a range (123,
    123_[4-9]).
    """
    by_id = {job.id: job for job in jobs}
    whole = {job.id.partition("_")[0]: job for job in jobs if "_" not in job.id or "[" in job.id}
    found = {one: by_id.get(one) or whole.get(one.partition("_")[0]) for one in wanted}
    return {one: replace(job, id=one) for one, job in found.items() if job is not None}


def _squeue(*which: str) -> list[Job]:
    form = ",".join(f"{name}:|" for name in _FIELDS)
    try:
        return _parse(_answer(["squeue", "--noheader", "--array", "--states=all", f"--Format={form}", *which]))
    except NoAnswer as error:
        if "Invalid job id" in str(error):  # it knows none of them any more
            return []
        raise


def _parse(text: str) -> list[Job]:
    """Read lines of id|state|reason|nodes|start, of squeue also |restarts|name|."""
    found = []
    for line in text.splitlines():
        name, state, reason, nodes, since, restarts, label, *_ = [*map(str.strip, line.split("|")), "", ""]
        state = state.split(" ")[0]  # sacct has "CANCELLED by 0"
        reason = "" if reason == "None" else reason
        since = "" if state in _PENDING or since in ("N/A", "Unknown") else since
        found.append(Job(name, state, reason, nodes, since, int(restarts or 0), label))
    return found


def _answer(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise NoAnswer(f"{command[0]}: not installed; run this on a machine of a SLURM cluster") from None
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"{command[0]}: no answer within {_TIMEOUT_S:g} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        raise NoAnswer(f"{command[0]}: {lines[-1].strip()}")
    return done.stdout
