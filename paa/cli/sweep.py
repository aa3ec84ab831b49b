"""What happens around Hydra: all jobs are checked before the first starts, and told of after the last has ended."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from paa.cli.compose import composer, parse, resolved
from paa.cli.experiment import Experiment, print_flushed
from paa.cli.messages import ConfigError
from paa.cli.report import table
from paa.engine.loop import NonFiniteLoss
from paa.engine.signals import Interrupted
from paa.runs.errors import RunError

REFUSED = 2
"""Exit code of a command line that was refused before anything ran."""

EXPECTED = (ConfigError, RunError, NonFiniteLoss, OSError, ValueError)
"""What a person can put right: told in one line. Anything else is a fault of the program and shows its traceback."""


@dataclass(frozen=True)
class Job:
    """A job as the command line asks for it: its own overrides, and the checked experiment."""

    overrides: list[str]
    experiment: Experiment


@dataclass(frozen=True)
class Jobs:
    """All jobs of a command line. `multirun` is a sweep; a passive command (--help, --cfg) has none."""

    all: list[Job]
    multirun: bool


_FAILED: dict[str, str] = {}
"""train_id -> why, of the jobs that failed in this process."""


def checked(module: str, argv: Sequence[str]) -> Jobs:
    """Composes, resolves and builds every job; a wrong one ends the process with one line and exit code 2."""
    command = parse(argv)
    if command.passive:
        return Jobs([], command.multirun)
    try:
        with composer(command.config_dir) as compose:
            jobs = []
            for overrides in compose.jobs(command.overrides, command.multirun):
                config = resolved(compose.compose(overrides))
                jobs.append(Job(overrides, Experiment.of(config, overrides)))
            return Jobs(jobs, command.multirun)
    except (ConfigError, RunError, OSError, ValueError) as error:
        print(f"{module}: {error}", file=sys.stderr)
        raise SystemExit(REFUSED) from None


def run_job(cfg: DictConfig, hydra: Any) -> None:
    """The body of one job under Hydra."""
    overrides = list(hydra.overrides.task)
    choices = {k: str(v) for k, v in hydra.runtime.choices.items() if not k.startswith("hydra") and v is not None}
    resume = shlex.join(["python", "-m", "paa.train", *overrides])
    multirun = hydra.mode is not None and hydra.mode.name == "MULTIRUN"
    experiment = None
    try:
        experiment = Experiment.of(resolved(cfg), overrides, choices, resume)
        experiment.run(print_flushed)
    except Interrupted as stop:
        print_flushed(f"{stop}. Go on with:\n  {shlex.join([*_program(), *sys.argv[1:]]) if multirun else resume}")
        raise SystemExit(stop.code) from None
    except KeyboardInterrupt:
        print_flushed("stopped at once; the last checkpoint stands")
        raise SystemExit(130) from None
    except EXPECTED as error:
        name = experiment.identity.train_id if experiment else "paa.train"
        reason = f"{type(error).__name__}: {error}" if type(error) in (ValueError, OSError) else str(error)
        _FAILED[name] = reason
        print(f"{name}  failed: {reason}", file=sys.stderr, flush=True)
        if experiment is not None and experiment.identity.paths.log.exists():
            with experiment.identity.paths.log.open("a", encoding="utf-8") as log:
                log.write(f"failed: {reason}\n")
        if not multirun:  # the other jobs of a sweep go on; `finish` gives its exit code
            raise SystemExit(1) from None


def finish(jobs: Jobs) -> None:
    """Prints what the jobs came to; exit code 1 if any has failed. One that was left to another process has not."""
    if jobs.all:
        print_flushed("\n" + table([(job.overrides, job.experiment) for job in jobs.all], _FAILED))
    if _FAILED:
        raise SystemExit(1)


def _program() -> list[str]:
    return ["python", "-m", "paa.train"] if os.path.basename(sys.argv[0]) in ("train.py", "-m") else [sys.argv[0]]

