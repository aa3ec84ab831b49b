"""Several runs at a time in processes of this machine. Ctrl-C and SIGTERM have each save, and then all end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paa.engine.signals import StopRequest
from paa.experiment.job import Job
from paa.launch.ledger import Sweep
from paa.launch.status import Status, last_line

_POLL_S = 0.1


@dataclass(frozen=True)
class _Child:
    numbers: Sequence[int]
    process: subprocess.Popen[bytes]
    log: Path


def run_here(sweep: Sweep, jobs: Sequence[Job], n: int, say: Callable[[str], None]) -> dict[int, Status]:
    """{number: status} of all jobs, `n` trainings at a time. SystemExit with 130 or 143 where it was asked to stop."""
    found = {number: Status("done") for number, job in enumerate(jobs) if job.finished}
    waiting: dict[str, list[int]] = {}
    for number, job in enumerate(jobs):
        if number not in found:
            waiting.setdefault(job.train_id, []).append(number)
    logs = sweep.folder / "local"
    logs.mkdir(parents=True, exist_ok=True)
    say(f"{len(waiting)} runs, {n} at a time; logs in {logs}")
    left, running = list(waiting.values()), list[_Child]()
    with StopRequest() as stop:
        try:
            while left or running:
                while left and len(running) < n and stop.signum is None:
                    running.append(_start(sweep, left.pop(0), logs))
                running = [child for child in running if not _ended(child, jobs, found, say)]
                if stop.signum is not None:
                    _end(running, stop.signum, say)
                    raise SystemExit(128 + stop.signum)
                time.sleep(_POLL_S)
        except BaseException:  # at once: a second Ctrl-C, or a fault of ours
            for child in running:
                _send(child, signal.SIGKILL)
            raise
    return found


def _start(sweep: Sweep, numbers: Sequence[int], logs: Path) -> _Child:
    log = logs / f"{numbers[0]}.log"
    command = [sys.executable, "-u", "-m", "paa.launch.task", str(sweep.folder), *map(str, numbers)]
    with log.open("ab") as out:
        # In a session of its own: a Ctrl-C of the terminal reaches it once, through us.
        process = subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=sweep.directory, start_new_session=True
        )
    return _Child(numbers, process, log)


def _ended(child: _Child, jobs: Sequence[Job], found: dict[int, Status], say: Callable[[str], None]) -> bool:
    code = child.process.poll()
    if code is None:
        return False
    for number in child.numbers:
        if jobs[number].finished:
            found[number] = Status("done", log=child.log)
        elif code == 0:
            found[number] = Status("ended", "left to another process", log=child.log)
        else:
            found[number] = Status("failed", _reason(child, code), log=child.log)
        say(f"{len(found)} of {len(jobs)}  {jobs[number].train_id}  {found[number]}")
    return True


def _reason(child: _Child, code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return last_line(child.log).partition("failed: ")[2] or last_line(child.log) or f"exit code {code}"


def _end(running: Sequence[_Child], signum: int, say: Callable[[str], None]) -> None:
    """Has every child finish its step and save."""
    say(f"stopping: {len(running)} runs finish their step and save")
    for child in running:
        _send(child, signum)
    for child in running:
        child.process.wait()
    say("stopped; the same command goes on")


def _send(child: _Child, signum: int) -> None:
    if child.process.poll() is None:
        os.kill(child.process.pid, signum)
