"""Ctrl-C, SIGTERM and SIGUSR2 stop a run after the current step, with a checkpoint."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType


class Interrupted(Exception):  # noqa: N818
    """Training was stopped after a checkpoint. `code` is the process's exit code: 130, 143, or 140 for SIGUSR2.

    cause  what to say instead of the signal. With SIGKILL (137) a scheduler requeues the job, as after any kill.
    """

    def __init__(self, signum: int, step: int, cause: str = "") -> None:
        where = f" after step {step}" if step or not cause else ""
        super().__init__(f"{cause or f'stopped by {signal.Signals(signum).name}'}{where}; everything is saved")
        self.signum, self.step, self.code = signum, step, 128 + signum


class StopRequest:
    """While entered, SIGINT, SIGTERM and SIGUSR2 set `signum`, and training continues to the end of its step.

    SIGUSR2 is the scheduler's preemption signal: `paa.launch` requeues the job. Of several signals the last one counts:
    a cancelled job is not requeued.

    A second Ctrl-C ends the process immediately, as users expect of one that hangs; the last checkpoint then stands.
    Only this process handles them: in a forked DataLoader worker the handlers do nothing. Outside of the main thread
    Python allows no handlers, and the request is never set.
    """

    SIGNALS = tuple(
        getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR2") if hasattr(signal, name)
    )  # Windows has no SIGUSR2

    def __init__(self) -> None:
        self.signum: int | None = None
        self._pid = os.getpid()
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for signum in self.SIGNALS:
                self._previous[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)  # type: ignore[arg-type]
        previous = self._previous.get(self.signum) if self.signum is not None else None
        self._previous.clear()
        # A request that was not raised as Interrupted is passed on to the previous handler.
        heeded = kind is not None and issubclass(kind, (Interrupted, KeyboardInterrupt))
        if not heeded and callable(previous) and previous is not signal.default_int_handler:
            previous(self.signum, None)

    def check(self, step: int) -> None:
        """Raise Interrupted if a stop was requested, during work after `step` that is repeated on resumption."""
        if self.signum is not None:
            raise Interrupted(self.signum, step)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            return
        if signum == signal.SIGINT and self.signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum
