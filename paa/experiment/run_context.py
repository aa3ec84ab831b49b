"""What the work on one run shares: its folder, lock, stop request, processes and tracker."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

from paa import files
from paa.config.errors import reason
from paa.engine.distributed import ProcessGroup
from paa.engine.signals import Interrupted, StopRequest
from paa.log import log, run_log
from paa.store import failure
from paa.store.errors import LockLost
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
        """Catch signals while entered; on the main process, append messages to the run's log.

        A failure leaves its reason in the run's folder; an interrupted run resumes later, or elsewhere.
        """
        if lock is not None:
            lock.check()
            failure.clear(paths)
            for folder in (paths.folder, paths.checkpoints, paths.evals):
                files.clear_leftovers(folder)
        with StopRequest() as stop, run_log(paths.log) if group.is_main else nullcontext():
            try:
                yield cls(paths, group, lock, stop)
            except Exception as error:
                if lock is not None and not isinstance(error, Interrupted | LockLost):
                    with suppress(LockLost, OSError):  # which must not hide the error itself
                        lock.check()
                        failure.write(paths, reason(error))
                        log.debug("%sfailed: %s", "".join(traceback.format_exception(error)), reason(error))
                raise

    def ensure_lock_held(self) -> None:
        """Raise LockLost if another process has taken the run over; nothing may be written then."""
        if self.lock is not None:
            self.lock.check()

    def say(self, text: str) -> None:
        """Show and log a message about the run."""
        log.info("%s  %s", self.paths.train_id, text)
