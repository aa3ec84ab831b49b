"""What SLURM says of jobs: squeue for those that it still knows, sacct for those that it has forgotten.

squeue asks the controller, which knows at once what it has done; sacct asks the accounting, which lags and may not be
there at all. So a job that squeue lists is what squeue says, and sacct is asked about the others alone. Either may fail
for a while (the controller is restarted): then nothing is known, which is not the same as no job.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from paa.checks import UserError

_FIELDS = ("JobArrayID", "State", "Reason", "NodeList", "StartTime", "RestartCnt", "Name")

OVER = frozenset(
    {
        "COMPLETED",
        "CANCELLED",
        "FAILED",
        "TIMEOUT",
        "NODE_FAIL",
        "PREEMPTED",
        "BOOT_FAIL",
        "DEADLINE",
        "OUT_OF_MEMORY",
        "REVOKED",
    }
)
"""States of a job that has ended."""

TIMEOUT_S = 60.0
"""Seconds that a command of SLURM may take."""


class NoAnswer(UserError):  # noqa: N818
    """SLURM does not answer, or there is none here. The message is what its command said."""


@dataclass(frozen=True)
class Job:
    """A job as SLURM sees it.

    state   PENDING, RUNNING, COMPLETED, ...; reason, why it waits or ended so; "" where there is none.
    since   when it started last, 2026-11-25T01:59:21; "" while it waits.
    restarts  how often it was put back in the queue; None where only the accounting knows the job.
    """

    id: str
    state: str
    reason: str = ""
    nodes: str = ""
    since: str = ""
    restarts: int | None = None
    name: str = ""

    @property
    def over(self) -> bool:
        """Whether it has ended, as far as this look could tell: a node that failed puts its jobs back after a while."""
        return self.state in OVER

    def __str__(self) -> str:
        state = self.state.lower()
        if self.state == "PENDING" and self.reason:
            state += f" ({self.reason})"
        on = f" on {self.nodes}" if self.nodes and not self.over and self.state != "PENDING" else ""
        since = f" since {self.since[5:16].replace('T', ' ')}" if on and self.since else ""
        again = f", put back {_times(self.restarts)}" if self.restarts else ""
        return f"{state}{on}{since}{again}"


def available() -> bool:
    """Whether SLURM's commands are installed here."""
    return shutil.which("squeue") is not None


def look(ids: Collection[str], names: Collection[str] = ()) -> dict[str, Job]:
    """{id: job} of those `ids` (123 or 123_4), and of the jobs with one of `names`, that SLURM knows. NoAnswer."""
    wanted = set(ids)
    mains = sorted({one.partition("_")[0] for one in wanted})
    found = _named(_squeue(["--jobs", ",".join(mains)]), wanted) if mains else {}
    if names:
        found |= {job.id: job for job in _squeue(["--me", "--name", ",".join(names)])}
    forgotten = wanted - set(found)
    if forgotten:
        found |= _named(_sacct(forgotten), forgotten)
    return found


def _named(jobs: Sequence[Job], wanted: Collection[str]) -> dict[str, Job]:
    """{id: job} of the ids that are wanted. What of an array was cancelled before it began is listed as one job, by the
    array's number alone or with a range (123, 123_[4-9]).
    """
    found = {job.id: job for job in jobs if job.id in wanted}
    whole = {job.id.partition("_")[0]: job for job in jobs if job.id not in wanted and _is_whole(job.id)}
    for one in wanted:
        main = one.partition("_")[0]
        if one not in found and main in whole:
            found[one] = replace(whole[main], id=one)
    return found


def _is_whole(name: str) -> bool:
    return "_" not in name or "[" in name


def cancel(ids: Iterable[str]) -> None:
    """Cancels jobs, and with them what is left of their requeues. NoAnswer."""
    every = sorted(ids)
    for at in range(0, len(every), 500):
        _answer(["scancel", *every[at : at + 500]])


def max_array_size() -> int:
    """Jobs that an array of this cluster may have. NoAnswer."""
    for line in _answer(["scontrol", "show", "config"]).splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "MaxArraySize" and value.strip().isdigit():
            return max(1, int(value))
    return 1001  # SLURM's own default


def _squeue(which: Sequence[str]) -> list[Job]:
    form = ",".join(f"{name}:|" for name in _FIELDS)
    try:
        text = _answer(["squeue", "--noheader", "--array", "--states=all", f"--Format={form}", *which])
    except NoAnswer as error:
        if "Invalid job id" in str(error):  # none of them is known any more
            return []
        raise
    return [job for line in text.splitlines() if (job := _parsed(line)) is not None]


def _parsed(line: str) -> Job | None:
    cells = [cell.strip() for cell in line.split("|")]
    if len(cells) < len(_FIELDS):
        return None
    values = dict(zip(_FIELDS, cells, strict=False))
    reason, since = values["Reason"], values["StartTime"]
    restarts = int(values["RestartCnt"]) if values["RestartCnt"].isdigit() else None
    started = since if values["State"] != "PENDING" and since not in ("N/A", "Unknown") else ""
    reason = "" if reason == "None" else reason
    return Job(values["JobArrayID"], values["State"], reason, values["NodeList"], started, restarts, values["Name"])


def _sacct(ids: Collection[str]) -> list[Job]:
    """What the accounting has of jobs; nothing where there is none."""
    mains = sorted({one.partition("_")[0] for one in ids})
    command = ["sacct", "--allocations", "--parsable2", "--noheader", "--format=JobID,State,NodeList,Start"]
    try:
        text = _answer([*command, "--jobs", ",".join(mains)])
    except NoAnswer:
        return []
    found = []
    for line in text.splitlines():
        cells = line.split("|")
        if len(cells) == 4:
            state = cells[1].split(" ")[0]  # "CANCELLED by 0"
            found.append(Job(cells[0], state, "", cells[2], cells[3]))
    return found


def _answer(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise NoAnswer(f"{command[0]}: not installed here; this is no machine of a SLURM cluster") from None
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"{command[0]}: no answer within {TIMEOUT_S:g} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        raise NoAnswer(f"{command[0]}: {lines[-1].strip()}")
    return done.stdout


def _times(count: int | None) -> str:
    return {1: "once", 2: "twice"}.get(count or 0, f"{count} times")
