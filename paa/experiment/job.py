"""Run a job of a command line in any process.

A launcher takes `config`, `overrides` and `choices` of an `Experiment`, which are plain and can be pickled or written
as JSON, and calls `run_config` with them where the job runs. Nothing there reads conf/ again.
"""

from __future__ import annotations

import shlex
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from paa.config.errors import USER_ERRORS, ConfigError, reason
from paa.engine.distributed import PeerFailed, process_group
from paa.engine.signals import Interrupted
from paa.experiment.experiment import Experiment
from paa.log import print_line


class JobFailed(Exception):  # noqa: N818
    """A job has failed. The message is the reason, in one line; the rest is on stderr and in the run's log."""


def run_experiment(experiment: Experiment, resume: str | None = None) -> float | None:
    """Run a job in this process and return its objective: train and evaluate what is missing.

    resume  the command that resumes it, printed when it is interrupted; None: one for this job only.
    JobFailed if it failed; Interrupted, whose `code` is the exit code, if it was asked to stop and has saved. What a
    user has to know is printed before either is raised.
    """
    try:
        experiment.run()
    except Interrupted as stop:
        if process_group().is_main:
            command = resume or shlex.join(["python", "-m", "paa.train", *experiment.overrides])
            print_line(f"{stop}. Resume with:\n  {command}")
        raise
    except Exception as error:
        raise JobFailed(report_failure(experiment.train_id, error)) from error
    return experiment.objective


def run_config(
    config: Mapping[str, Any],
    overrides: Sequence[str],
    choices: Mapping[str, str],
    resume: str | None = None,
    expected: str | None = None,
) -> float | None:
    """Check a job from its resolved configuration and run it, in a process that a launcher started.

    config, overrides, choices  those of an `Experiment`.
    expected  the run ID that the job was submitted with; another one now is a failure, since code or data changed.
    Returns and raises as `run_experiment`.
    """
    try:
        with process_group().main_process_first():
            experiment = Experiment.of(config, overrides, choices, here=True)
        found = experiment.train_id
        if expected is not None and found != expected:
            raise ConfigError(
                f"code or data changed since it was submitted as {expected}: it would train {found} now; submit again "
                "(hydra.launcher.snapshot=true of hydra/launcher=slurm keeps the code as it is at submission)"
            )
    except Exception as error:
        raise JobFailed(report_failure("paa.train", error)) from error
    return run_experiment(experiment, resume)


def report_failure(name: str, error: Exception) -> str:
    """Print why a job failed, with the traceback unless a user can fix it; return the reason in one line."""
    why = reason(error)
    if process_group().is_main or not isinstance(error, PeerFailed):  # a process that another one stopped adds nothing
        trace = "" if isinstance(error, USER_ERRORS) else "".join(traceback.format_exception(error))
        print_line(f"{trace}{name}  failed: {why}", sys.stderr)
    return why
