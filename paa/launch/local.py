"""Several runs at a time, in processes of this machine. Ctrl-C and SIGTERM make each save a checkpoint and end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from paa.engine.signals import StopRequest
from paa.experiment.job import Job
from paa.launch.ledger import Sweep
from paa.launch.status import Row, last_line
from paa.store.status import RunStatus

_POLL_S = 0.1


@dataclass(frozen=True)
class _Child:
    numbers: Sequence[int]
    process: subprocess.Popen[bytes]


def run_here(sweep: Sweep, jobs: Sequence[Job], n: int, say: Callable[[str], None]) -> list[Row]:
    """Return the state of each job, after running `n` trainings at a time. SystemExit with 130 or 143 if stopped."""
    found = {
        number: Row(sweep, sweep.entries[number], RunStatus("done")) for number, job in enumerate(jobs) if job.finished
    }
    waiting: dict[str, list[int]] = {}
    for number, job in enumerate(jobs):
        if number not in found:
            waiting.setdefault(job.train_id, []).append(number)
    sweep.logs.mkdir(parents=True, exist_ok=True)
    say(f"{len(waiting)} runs, {n} at a time; logs in {sweep.logs}")
    left, running = list(waiting.values()), list[_Child]()
    with StopRequest() as stop:
        try:
            while running or (left and stop.signum is None):
                while left and len(running) < n and stop.signum is None:
                    running.append(_start(sweep, left.pop(0)))
                for child in [child for child in running if child.process.poll() is not None]:
                    running.remove(child)
                    for number in child.numbers:
                        found[number] = _row(sweep, child, number, jobs[number])
                        say(f"{len(found)} of {len(jobs)}  {jobs[number].train_id}  {found[number].status}")
                if stop.signum is not None and running:
                    say(f"stopping: {len(running)} runs finish their step and save a checkpoint")
                    for child in running:
                        child.process.send_signal(stop.signum)
                    for child in running:
                        child.process.wait()
                elif running:
                    time.sleep(_POLL_S)
        except BaseException:  # a second Ctrl-C, or a bug: no child may outlive this process
            for child in running:
                child.process.kill()
            raise
        if stop.signum is not None:
            say("stopped. Resume with the same command")
            raise SystemExit(128 + stop.signum)
    return [found[number] for number in range(len(jobs))]


def _start(sweep: Sweep, numbers: Sequence[int]) -> _Child:
    command = [sys.executable, "-u", "-m", "paa.launch.task", str(sweep.folder), *map(str, numbers)]
    with (sweep.logs / f"{numbers[0]}.log").open("ab") as out:
        # In its own session: a Ctrl-C of the terminal reaches it once, through us.
        process = subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=sweep.directory, start_new_session=True
        )
    return _Child(numbers, process)


def _row(sweep: Sweep, child: _Child, number: int, job: Job) -> Row:
    code, name = child.process.returncode, str(child.numbers[0])
    if job.finished:
        status = RunStatus("done")
    elif code == 0:
        status = RunStatus("interrupted", detail="left to another process, see its log")
    elif code < 0:
        status = RunStatus("failed", detail=f"killed by {signal.Signals(-code).name}")
    else:
        said = last_line(sweep.logs / f"{name}.log")
        status = RunStatus("failed", detail=said.partition("failed: ")[2] or said or f"exit code {code}")
    return Row(sweep, sweep.entries[number], status, name)
