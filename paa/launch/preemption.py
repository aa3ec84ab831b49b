"""Signals of a job: SIGUSR2 requeues it, SIGTERM ends it; either after a checkpoint was saved.

submitit's handler saves, requeues and exits inside the signal, wherever the training happens to be. Here it is called
only after the training has finished its step and written its checkpoint. While it trains,
`paa.engine.signals.StopRequest` holds the signals; before and after that (imports, waiting for the lock, the end) there
is nothing to save, and they act immediately.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from types import FrameType
from typing import Any

from paa.log import print_line

RETRY_S, GIVE_UP_S = 10.0, 900.0
"""Seconds between attempts to requeue while the controller is away, and after which the job fails."""

KILLED_S = 120.0
"""Seconds within which SLURM ends the other processes of a job that its first process requeues."""


class RequeueRequested(BaseException):
    """SIGUSR2 while nothing was trained. Not an Exception: no handler in between may take it for a failure."""


class Preemption:
    """While entered, SIGUSR2 raises RequeueRequested and SIGTERM raises SystemExit(143).

    main  whether this is the job's first process: only that one requeues the job, which ends the others.
    """

    def __init__(self, main: bool) -> None:
        self._main, self._pid = main, os.getpid()
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Preemption:
        for signum, handler in ((signal.SIGUSR2, self._usr2), (signal.SIGTERM, self._term)):
            self._previous[signum] = signal.signal(signum, handler)
        return self

    def __exit__(self, *exc: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def requeue(self) -> None:
        """Requeue the job with submitit's handler, which exits; UncompletedJobError where it does not requeue.

        Further SIGUSR2 are ignored from here on; with SIGTERM SLURM ends a job that it has requeued.
        """
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        if not self._main:
            time.sleep(KILLED_S)
            raise SystemExit(1)  # not the code of a kill, at which the batch script requeues a job
        until = time.monotonic() + GIVE_UP_S
        while True:
            try:
                self._previous[signal.SIGUSR2](signal.SIGUSR2, None)
                return
            except (subprocess.SubprocessError, OSError) as error:  # the controller is away, or the disk is full
                if time.monotonic() > until:
                    raise
                print_line(f"cannot requeue the job yet ({error}); retrying in {RETRY_S:g} s")
                time.sleep(RETRY_S)

    def _usr2(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() == self._pid and self._main:
            raise RequeueRequested

    def _term(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a child made by fork, which must not act for the job
            os._exit(128 + signum)
        raise SystemExit(128 + signum)
