"""What a job runs: the jobs of one training, from their resolved configurations."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from paa.launch import ranks
from paa.launch.ledger import Entry, Sweep
from paa.launch.preemption import Preemption, RequeueRequested
from paa.log import print_line

TRANSIENT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN})
"""Errors of a file system that may pass: full, over quota, its server away."""

WAITS_S = (5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 240.0, 480.0)
"""Seconds to wait before each retry after such an error: a quarter of an hour in all."""


class Task:
    """Runs jobs of the sweep in `folder` one after another, those with these numbers; conf/ is not read again.

    submitit pickles it and may run it any number of times: each run resumes where the last one was interrupted.
    """

    def __init__(self, folder: Path, numbers: Sequence[int]) -> None:
        self.folder, self.numbers = folder, numbers

    def __call__(self) -> None:
        """Run the jobs. SystemExit with 143 if cancelled; what submitit raises if the job is requeued or cannot be."""
        import submitit

        job = submitit.JobEnvironment()
        if "SUBMITIT_FOLDER" in os.environ:
            # The error of an earlier attempt whose job was requeued would pass for the end of this one.
            with suppress(OSError):
                job.paths.result_pickle.unlink(missing_ok=True)
        ranks.join(job, os.environ)
        from paa.config.user_code import add_cwd_to_path
        from paa.engine.distributed import destroy_process_group
        from paa.engine.signals import Interrupted

        add_cwd_to_path()
        with Preemption(job.global_rank == 0) as preemption:
            try:
                run_all(Sweep.read(self.folder), self.numbers, single=job.num_tasks == 1)
            except RequeueRequested:
                preemption.requeue()
            except Interrupted as stop:
                if stop.signum == signal.SIGUSR2:
                    preemption.requeue()
                raise SystemExit(stop.code) from None
        destroy_process_group()

    def checkpoint(self) -> Any:
        """Return what submitit submits again: the same. The training has its own checkpoints."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def run_all(sweep: Sweep, numbers: Sequence[int], *, single: bool = True) -> None:
    """Run each of these jobs in this process. JobFailed, of the first that failed; Interrupted.

    single  this is the job's only process: transient errors of the file system are retried, and a failed job does not
            keep the others from running. Several processes could be out of step by then: they end at the first failure.
    """
    from paa.experiment.experiment import JobFailed

    failures: list[Exception] = []
    contents = sweep.contents(numbers)
    for number in numbers:
        for pause in (*WAITS_S, None) if single else (None,):
            try:
                _run(sweep.entries[number], contents[number], sweep.command)
                break
            except (JobFailed, OSError) as error:  # the latter where even its report does not fit on the disk
                if pause is None or not _transient(error):
                    failures.append(error)
                    break
                print_line(f"{error}; retrying in {pause:g} s")
            time.sleep(pause)
        if failures and not single:
            break
    if failures:
        raise failures[0]


def _run(entry: Entry, content: dict[str, Any], command: str) -> None:
    """Check a job and run it. Another run ID than at submission is a failure, since code or data changed."""
    from paa.config.errors import ConfigError
    from paa.engine.distributed import process_group
    from paa.experiment.experiment import Experiment, reported

    overrides, expected = entry.overrides, entry.train_id
    with reported("paa.train", overrides, command):
        with process_group().main_process_first():
            experiment = Experiment.of(content["config"], overrides, content["choices"], here=True)
        if experiment.train_id != expected:
            raise ConfigError(
                f"code or data changed since it was submitted as {expected}: it would train {experiment.train_id} now; "
                "submit again (hydra.launcher.snapshot=true of hydra/launcher=slurm keeps the code as it is then)"
            )
    with reported(experiment.train_id, overrides, command):
        experiment.run()


def _transient(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in TRANSIENT:
            return True
        error = error.__cause__ or error.__context__
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run jobs of a submitted sweep in this process (`python -m paa.launch.task FOLDER NUMBER...`); the exit code."""
    from paa.config.user_code import add_cwd_to_path
    from paa.engine.signals import Interrupted
    from paa.experiment.experiment import JobFailed

    folder, *numbers = sys.argv[1:] if arguments is None else arguments
    add_cwd_to_path()
    sweep = Sweep.read(Path(folder))
    try:
        run_all(sweep, [int(number) for number in numbers])
    except JobFailed as error:
        print_line(f"failed: {error}")  # the last line, whichever job failed
        return 1
    except Interrupted as stop:
        return stop.code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
