"""Signals of a job: SIGUSR2 puts it back in the queue, SIGTERM ends it; either after what it does has been saved.

submitit's handler saves, requeues and exits inside of the signal, wherever the training happens to be. Here it is kept,
and called when the training has finished its step and written its checkpoint. While the training is at work
`paa.engine.signals.StopRequest` holds the signals; before and after that (imports, waiting for a lock, the end) there
is nothing to save, and they act at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

RETRY_S, GIVE_UP_S = 10.0, 900.0
"""Seconds between attempts to put the job back while the controller does not answer, and after which it is left."""

KILLED_S = 120.0
"""Seconds in which a process that does not put the job back itself is ended by the one that does."""


class PutBack(BaseException):
    """SIGUSR2 while nothing was at work. No Exception: nobody in between may take it for a failure."""


class Preemption:
    """While entered, SIGUSR2 raises PutBack and SIGTERM raises SystemExit(143).

    main  whether this is the job's first process, which alone puts it back; the others are then ended with the job.
    """

    def __init__(self, main: bool, say: Callable[[str], None]) -> None:
        self._main, self._say, self._pid = main, say, os.getpid()
        self._submitit: Any = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Preemption:
        self._submitit = signal.getsignal(signal.SIGUSR2)
        for signum, handler in ((signal.SIGUSR2, self._usr2), (signal.SIGTERM, self._term)):
            self._previous[signum] = signal.signal(signum, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def put_back(self) -> None:
        """Requeues the job by submitit's handler, which exits; what that raises where it may not be is let through.

        A further SIGUSR2 is ignored from here on; SIGTERM is how SLURM ends what it has put back.
        """
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        if not self._main:
            time.sleep(KILLED_S)
            raise SystemExit(1)  # not the code of a kill, at which the batch script puts a job back
        if not callable(self._submitit):
            raise SystemExit(128 + signal.SIGUSR2)  # not a job of submitit's: whoever sent the signal sees to the rest
        until = time.monotonic() + GIVE_UP_S
        while True:
            try:
                self._submitit(signal.SIGUSR2, None)
                return
            except (subprocess.SubprocessError, OSError) as error:  # the controller is away, or the disk is full
                if time.monotonic() > until:
                    raise
                self._say(f"cannot put the job back yet ({error}); tries again in {RETRY_S:g} s")
                time.sleep(RETRY_S)

    def _usr2(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() == self._pid and self._main:
            raise PutBack

    def _term(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a child made by fork, which has no business with the job
            os._exit(128 + signum)
        raise SystemExit(128 + signum)
