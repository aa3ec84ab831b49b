"""Ctrl-C, SIGTERM and SIGUSR2 end a run after the step in hand, with everything saved."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType


class Interrupted(Exception):  # noqa: N818
    """Training was asked to stop and has saved. `code` is the process's exit code: 130, 143, or 140 for SIGUSR2."""

    def __init__(self, signum: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name} after step {step}; everything is saved")
        self.signum, self.step, self.code = signum, step, 128 + signum


class StopRequest:
    """While entered, SIGINT, SIGTERM and SIGUSR2 set `signum` and training goes on to the end of its step.

    SIGUSR2 is how a cluster's scheduler says that it wants the machine back: who started the run sees to it that it
    goes on later (`paa.launch`). Of several signals the last one counts: a cancelled job is not put back in the queue.

    A second Ctrl-C ends the process at once, as users expect of one that hangs; the last checkpoint then stands.
    Handlers are this process's alone: a DataLoader worker made by fork gets the default ones back. Outside of the
    main thread Python allows no handlers, and the request is never set.
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
        # A request that another end came before is handed on: who would have heard it without us still has to.
        heeded = kind is not None and issubclass(kind, (Interrupted, KeyboardInterrupt))
        if not heeded and callable(previous) and previous is not signal.default_int_handler:
            previous(self.signum, None)

    def check(self, step: int) -> None:
        """Raises Interrupted where a stop was asked for, amid work after `step` that a resumption does again."""
        if self.signum is not None:
            raise Interrupted(self.signum, step)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            return
        if signum == signal.SIGINT and self.signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum
