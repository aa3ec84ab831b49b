"""What a job of SLURM runs: checked jobs of one training, from their resolved configurations."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from paa.launch import ranks
from paa.launch.preemption import Preemption, PutBack

PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN})
"""What a file system says that may be well again soon: full, over quota, its server away."""

WAITS_S = (5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 240.0, 480.0)
"""Seconds to wait before each new attempt after such an error: a quarter of an hour in all."""


class Task:
    """Runs `contents` ({config, overrides, choices, train_id} each) one after another; conf/ is not read again.

    It is pickled by submitit, and may be run any number of times: each goes on where the last one was cut off.
    """

    def __init__(self, contents: Sequence[dict[str, Any]], watch: str) -> None:
        self.contents, self.watch = list(contents), watch

    def __call__(self) -> None:
        """The job's life. SystemExit with 143 where it was cancelled; whatever submitit raises where it is put back."""
        import submitit

        job = submitit.JobEnvironment()
        forget_result(job)
        ranks.join(job, os.environ)
        from paa.config.user_code import add_cwd_to_path
        from paa.engine.distributed import destroy_process_group
        from paa.engine.signals import Interrupted
        from paa.log import print_line

        add_cwd_to_path()
        with Preemption(job.global_rank == 0, print_line) as preemption:
            try:
                run_all(self.contents, self.watch, print_line, patient=job.num_tasks == 1)
            except PutBack:
                preemption.put_back()
            except Interrupted as stop:
                if stop.signum == signal.SIGUSR2:
                    preemption.put_back()
                raise SystemExit(stop.code) from None
        destroy_process_group()

    def checkpoint(self) -> Any:
        """What submitit submits again: the same. The state of the training is in its own checkpoints."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def forget_result(job: Any) -> None:
    """Removes what an earlier attempt of this job left as its outcome: an error of a process whose job was then put
    back would be taken for the end of this attempt, should it be cancelled.
    """
    if "SUBMITIT_FOLDER" in os.environ:
        with suppress(OSError):
            job.paths.result_pickle.unlink(missing_ok=True)


def run_all(
    contents: Sequence[dict[str, Any]], watch: str, say: Callable[[str], None], *, patient: bool = True
) -> None:
    """Runs each job in this process. JobFailed, of the first that failed; Interrupted.

    patient  this process is alone: a failure of the file system that may pass is waited for, and the run then goes on
             from its checkpoint; and after a job that has failed the others have their turn before it is raised, for an
             evaluation that cannot be must not hide another of its training. Of several processes, which may be out of
             step by then, the first failure is the end.
    """
    first: Exception | None = None
    for content in contents:
        waits = iter(WAITS_S if patient else ())
        while True:
            error = _attempt(content, watch)
            if error is None:
                break
            pause = next(waits, None) if _passing(error) else None
            if pause is None:
                if not patient:
                    raise error
                first = first or error
                break
            say(f"{error}: goes on in {pause:g} s")
            time.sleep(pause)
    if first is not None:
        raise first


def _attempt(content: dict[str, Any], watch: str) -> Exception | None:
    from paa.experiment.job import JobFailed, run_resolved

    try:
        run_resolved(
            content["config"],
            content["overrides"],
            content["choices"],
            watch,
            expected=content.get("train_id"),  # a sweep that was noted before the ids were has none
        )
    except (JobFailed, OSError) as error:  # a full disk may not even take the telling of it
        return error
    return None


def _passing(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in PASSING:
            return True
        error = error.__cause__ or error.__context__
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m paa.launch.task FOLDER NUMBER...`: runs jobs of a submitted sweep in this process; their exit code."""
    from pathlib import Path

    from paa.config.user_code import add_cwd_to_path
    from paa.engine.signals import Interrupted
    from paa.experiment.job import JobFailed
    from paa.launch.ledger import Sweep
    from paa.log import print_line

    folder, *numbers = sys.argv[1:] if arguments is None else arguments
    add_cwd_to_path()
    sweep = Sweep.read(Path(folder))
    try:
        run_all(list(sweep.contents([int(n) for n in numbers]).values()), sweep.command, print_line)
    except JobFailed as error:
        if len(numbers) > 1:  # others may have had the last word
            print_line(f"failed: {error}")
        return 1
    except Interrupted as stop:
        return stop.code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
