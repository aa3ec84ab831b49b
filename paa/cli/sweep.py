"""What happens around Hydra: all jobs are checked before the first starts, and told of after the last has ended."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from paa.checks import OutOfRange
from paa.cli.compose import composer, parse, resolved
from paa.cli.experiment import Experiment
from paa.cli.messages import EXPECTED, naming_presets, told
from paa.cli.report import table
from paa.engine.distributed import PeerFailed, World, current
from paa.engine.progress import print_line
from paa.engine.signals import Interrupted
from paa.runs.errors import ClaimLost

REFUSED = 2
"""Exit code of a command line that was refused before anything ran."""


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


_FAILED: dict[int, str] = {}
"""Number of a job of this process -> why it failed."""

_CHECKED: dict[tuple[str, ...], Job] = {}
"""The jobs of this process's command line, by their overrides: a sweeper or launcher need not compose them again."""

_COMMAND: list[str] = []
"""The command line of this process, once it is checked; a job that a launcher started elsewhere has none."""


def checked(module: str, argv: Sequence[str]) -> Jobs:
    """Composes, resolves and builds every job; a wrong one ends the process with one line and exit code 2."""
    made: set[Path] = set()
    problem = None
    world = _world(module)
    try:
        command = parse(argv)
        here = not any(o.startswith("hydra/launcher=") and o != "hydra/launcher=basic" for o in command.overrides)
        with world.main_first(), composer(command.config_dir) as compose:
            jobs = []
            for overrides in compose.jobs(command.overrides, command.multirun):
                composed = compose.compose(overrides)
                if command.passive:
                    continue
                config = resolved(composed)
                folder = Path(str(config["runs_dir"]))
                made |= {folder} if not folder.exists() else set()
                with naming_presets(composed):
                    jobs.append(Job(overrides, Experiment.of(config, overrides, here=here)))
    except EXPECTED as error:
        problem = told(module, error)
    problem = world.agree(problem)
    if problem is not None:
        if world.main:
            for folder in made:
                _remove_cache(folder)
            print_line(problem, sys.stderr)
        raise SystemExit(REFUSED)
    _COMMAND[:] = [*_program(), *argv]
    _CHECKED.update({tuple(job.overrides): job for job in jobs})
    return Jobs(jobs, command.multirun)


def checked_job(overrides: Sequence[str]) -> Job | None:
    """The job of this process's command line with just these overrides, as `checked` left it."""
    return _CHECKED.get(tuple(overrides))


def _world(module: str) -> World:
    try:
        return current()
    except OutOfRange as error:
        print_line(f"{module}: {error}", sys.stderr)
        raise SystemExit(REFUSED) from None


def _remove_cache(runs_dir: Path) -> None:
    """Removes a folder of runs that holds nothing but digests of annotations: a refused command leaves no folder."""
    if runs_dir.is_dir() and all(path.name == ".cache" for path in runs_dir.iterdir()):
        shutil.rmtree(runs_dir)


def run_job(cfg: DictConfig, hydra: Any) -> None:
    """The body of one job under Hydra."""
    overrides = list(hydra.overrides.task)
    choices = {k: str(v) for k, v in hydra.runtime.choices.items() if not k.startswith("hydra") and v is not None}
    resume = shlex.join(_COMMAND or ["python", "-m", "paa.train", *overrides])
    multirun = hydra.mode is not None and hydra.mode.name == "MULTIRUN"
    experiment = None
    try:
        with current().main_first():
            experiment = Experiment.of(resolved(cfg), overrides, choices, here=True)
        experiment.run(print_line)
    except Interrupted as stop:
        if current().main:
            print_line(f"{stop}. Go on with:\n  {resume}")
        raise SystemExit(stop.code) from None
    except KeyboardInterrupt:
        print_line("stopped at once; the last checkpoint stands")
        raise SystemExit(130) from None
    except Exception as error:
        reason = report_failure(experiment, error)
        # The other jobs of a sweep go on; `finish` gives its exit code. Several processes are then out of step.
        if not multirun or current().size > 1:
            _FAILED[0] = reason
            raise SystemExit(1) from None
        _FAILED[int(hydra.job.num)] = reason


def report_failure(experiment: Experiment | None, error: Exception) -> str:
    """Tells why a job failed: in a line what a person can put right, else with the traceback. The log has both."""
    name = experiment.identity.train_id if experiment else "paa.train"
    reason = str(error) if isinstance(error, EXPECTED) else f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    text = f"{name}  failed: {reason}"
    main = current().main
    if main or not isinstance(error, PeerFailed):  # a process that others took down with them has nothing to add
        print_line(text if isinstance(error, EXPECTED) else f"{trace}{text}", sys.stderr)
    lost = isinstance(error, ClaimLost)  # then the folder is another's
    if main and experiment is not None and not lost and experiment.identity.paths.log.exists():
        with experiment.identity.paths.log.open("a", encoding="utf-8") as log:
            log.write(f"{trace}failed: {reason}\n")
    return reason


def finish(jobs: Jobs) -> None:
    """Prints what the jobs came to; exit code 1 if any has failed. One that was left to another process has not."""
    if jobs.all and current().main:
        print_line("\n" + table([(job.overrides, job.experiment) for job in jobs.all], _FAILED))
    if _FAILED:
        raise SystemExit(1)


def _program() -> list[str]:
    here = os.environ.get("LOCAL_WORLD_SIZE")  # torchrun's
    if here is not None and current().size > 1:
        return ["torchrun", "--nproc-per-node", here, "-m", "paa.train"]
    return ["python", "-m", "paa.train"] if os.path.basename(sys.argv[0]) in ("train.py", "-m") else [sys.argv[0]]
