"""Several runs at a time, in processes of this machine. Ctrl-C and SIGTERM make each save a checkpoint and end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from paa.engine.signals import StopRequest
from paa.experiment.experiment import Experiment
from paa.launch.ledger import Sweep
from paa.launch.status import Row, last_line
from paa.log import print_line
from paa.store.status import RunStatus

_POLL_S = 0.1


def run_here(sweep: Sweep, jobs: Sequence[Experiment], n: int) -> list[Row]:
    """Return the state of each job, after running `n` trainings at a time. SystemExit with 130 or 143 if stopped."""
    found: dict[int, Row] = {}
    waiting: dict[str, list[int]] = {}
    for number, job in enumerate(jobs):
        if job.finished:
            found[number] = Row(sweep, sweep.entries[number], RunStatus("done"))
        else:
            waiting.setdefault(job.train_id, []).append(number)
    sweep.logs.mkdir(parents=True, exist_ok=True)
    print_line(f"{len(waiting)} runs, {n} at a time; logs in {sweep.logs}")
    left, running = list(waiting.values()), dict[subprocess.Popen[bytes], list[int]]()
    with StopRequest() as stop:
        try:
            while (left or running) and stop.signum is None:
                while left and len(running) < n:
                    numbers = left.pop(0)
                    running[_start(sweep, numbers)] = numbers
                time.sleep(_POLL_S)
                for process in [process for process in running if process.poll() is not None]:
                    numbers = running.pop(process)
                    for number in numbers:
                        status = _status(sweep, process.returncode, numbers[0], jobs[number])
                        found[number] = Row(sweep, sweep.entries[number], status, str(numbers[0]))
                        print_line(f"{len(found)} of {len(jobs)}  {jobs[number].train_id}  {status}")
            if stop.signum is not None:
                print_line(f"stopping: {len(running)} runs finish their step and save a checkpoint")
                for process in running:
                    process.send_signal(stop.signum)
                for process in running:
                    process.wait()
                print_line("stopped. Resume with the same command")
                raise SystemExit(128 + stop.signum)
        finally:  # after a second Ctrl-C, or a bug: no child may outlive this process
            for process in running:
                process.kill()
    return [found[number] for number in range(len(jobs))]


def _start(sweep: Sweep, numbers: Sequence[int]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-u", "-m", "paa.launch.task", str(sweep.folder), *map(str, numbers)]
    with (sweep.logs / f"{numbers[0]}.log").open("ab") as out:
        # In its own session: a Ctrl-C of the terminal reaches it once, through us.
        return subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=sweep.directory, start_new_session=True
        )


def _status(sweep: Sweep, code: int, log: int, job: Experiment) -> RunStatus:
    if job.finished:
        return RunStatus("done")
    if code == 0:
        return RunStatus("interrupted", detail="left to another process, see its log")
    if code < 0:
        return RunStatus("failed", detail=f"killed by {signal.Signals(-code).name}")
    said = last_line(sweep.logs / f"{log}.log")
    return RunStatus("failed", detail=said.partition("failed: ")[2] or said or f"exit code {code}")
