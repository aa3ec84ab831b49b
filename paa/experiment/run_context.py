"""What the work on one run shares: its folder, lock, stop request, processes and tracker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from paa.engine.distributed import ProcessGroup
from paa.engine.signals import StopRequest
from paa.log import log, run_log
from paa.store.lock import RunLock
from paa.store.paths import RunPaths
from paa.tracking import Tracker


@dataclass
class RunContext:
    """The work on the run of `paths` by this process of `group`.

    lock  held by the main process; None in the others, which write nothing.
    """

    paths: RunPaths
    group: ProcessGroup
    lock: RunLock | None
    stop: StopRequest
    tracker: Tracker = field(default_factory=Tracker)

    @classmethod
    @contextmanager
    def open(cls, paths: RunPaths, group: ProcessGroup, lock: RunLock | None) -> Iterator[RunContext]:
        """Catch signals while entered; on the main process, append messages to the run's log."""
        with StopRequest() as stop, run_log(paths.log) if group.is_main else nullcontext():
            yield cls(paths, group, lock, stop)

    def ensure_lock_held(self) -> None:
        """Raise LockLost if another process has taken the run over; nothing may be written then."""
        if self.lock is not None:
            self.lock.check()

    def say(self, text: str) -> None:
        """Show and log a message about the run."""
        log.info("%s  %s", self.paths.train_id, text)
