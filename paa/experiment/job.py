"""Jobs: what a command line comes to, without the files it was composed from, and the running of one in any process.

A launcher needs `config`, `overrides` and `choices` of a `Job`, which are plain and can be pickled or written as JSON,
and calls `run_resolved` with them wherever the job is to run. Nothing there reads conf/ again.
"""

from __future__ import annotations

import shlex
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paa.config.errors import USER_ERRORS, ConfigError, reason
from paa.engine.distributed import PeerFailed, process_group
from paa.engine.signals import Interrupted
from paa.experiment.experiment import Experiment
from paa.log import print_line


@dataclass(frozen=True)
class Job:
    """A job of the command line.

    overrides   its own, as Hydra's sweeper splits them, without Hydra's (hydra/launcher=...).
    config      the resolved configuration, plain types.
    choices     {group: choice}, without Hydra's groups.
    experiment  the same, checked and with its identity; it holds functions and does not leave this process.
    """

    overrides: list[str]
    config: Mapping[str, Any]
    choices: Mapping[str, str]
    experiment: Experiment

    @property
    def train_id(self) -> str:
        """Identity of the training; jobs that differ at test time alone share it."""
        return self.experiment.identity.train_id

    @property
    def finished(self) -> bool:
        """Whether the training and every evaluation that is asked for have their records now."""
        return self.experiment.finished


@dataclass(frozen=True)
class Jobs:
    """All jobs of a command line. `multirun` is a sweep; a passive command (--help, --cfg) has none.

    plan  what plan=true prints in place of running them; None where they are to run.
    """

    all: list[Job]
    multirun: bool
    plan: str | None = None


class JobFailed(Exception):  # noqa: N818
    """A job has failed. The message is the reason, in a line; more of it was told on stderr and in the run's log."""


def run_resolved(
    config: Mapping[str, Any],
    overrides: Sequence[str],
    choices: Mapping[str, str],
    resume: str | None = None,
    expected: str | None = None,
) -> None:
    """Runs one job in this process from its resolved configuration: trains and evaluates what is missing of it.

    config, overrides, choices  those of a `Job`.
    resume  the command that goes on with it, printed where it is stopped; None: one for this job alone.
    expected  the identity that its training had when it was submitted, where it was; another is a failure: the code or
              the data are no longer those that were asked for.
    JobFailed where it failed; Interrupted, whose `code` is the exit code, where it was asked to stop and has saved.
    Either is raised after all has been told.
    """
    experiment = None
    try:
        with process_group().main_process_first():
            found = Experiment.of(config, overrides, choices, here=True)
        if expected is not None and found.identity.train_id != expected:
            raise ConfigError(
                f"code or data changed since it was submitted as {expected}: it would train "
                f"{found.identity.train_id} now; submit again (hydra.launcher.snapshot=true of hydra/launcher=slurm "
                "keeps the code as it is at submission)"
            )
        experiment = found
        experiment.run(print_line)
    except Interrupted as stop:
        if process_group().is_main:
            print_line(f"{stop}. Go on with:\n  {resume or shlex.join(['python', '-m', 'paa.train', *overrides])}")
        raise
    except Exception as error:
        raise JobFailed(report_failure(experiment, error)) from error


def report_failure(experiment: Experiment | None, error: Exception) -> str:
    """Tells why a job failed: in a line what a person can put right, else with the traceback.

    The run's log has both from `Experiment.run`, which wrote them while the run was this process's own.
    """
    name = experiment.identity.train_id if experiment else "paa.train"
    why = reason(error)
    trace = "".join(traceback.format_exception(error))
    text = f"{name}  failed: {why}"
    if process_group().is_main or not isinstance(error, PeerFailed):  # one that others took down adds nothing
        print_line(text if isinstance(error, USER_ERRORS) else f"{trace}{text}", sys.stderr)
    return why
