"""What happens around Hydra: all jobs are checked before the first starts, and told of after the last has ended."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from paa.checks import OutOfRange
from paa.commands.report import table
from paa.config.bulk import Bulk
from paa.config.compose import Composer, choices_of, composer, parse, resolved
from paa.config.errors import USER_ERRORS, ConfigError, format_error
from paa.config.suggestions import naming_presets
from paa.engine.distributed import ProcessGroup, process_group
from paa.engine.signals import Interrupted
from paa.experiment.experiment import Experiment
from paa.experiment.job import Job, JobFailed, Jobs, run_resolved
from paa.experiment.memo import Shared
from paa.launch.sweep import check as check_launcher
from paa.launch.sweep import settings_of
from paa.log import print_line
from paa.planning.dry_run import plan, without_plan

REFUSED = 2
"""Exit code of a command line that was refused before anything ran."""

_FAILED: dict[tuple[str, ...], str] = {}
"""Overrides of a job of this process's command line -> why it failed."""

_ENDS: dict[tuple[str, ...], tuple[str, bool]] = {}
"""Overrides of a job that ended without its records -> what to say of it, and whether that is well."""

_LEFT: list[bool] = []
"""Not empty where the jobs were left to go on elsewhere."""

_CHECKED: dict[tuple[str, ...], Job] = {}
"""The jobs of this process's command line, by their overrides: a sweeper or launcher need not compose them again."""

_JOBS: list[Job] = []
"""The same in their order; jobs of equal overrides (seed=0,0) are there twice."""

_COMMAND: list[str] = []
"""The command line of this process, once it is checked; a job that a launcher started elsewhere has none."""


def checked(module: str, argv: Sequence[str]) -> Jobs:
    """Composes, resolves and builds every job; a wrong one ends the process with one line and exit code 2.

    Whether a job could run in this process is asked where Hydra's own launcher is to run it here; another one finds out
    where it runs it.
    """
    made: set[Path] = set()
    problem = planned = None
    group = _group(module)
    try:
        command = parse(argv)
        with group.main_process_first(), composer(command.config_dir) as compose:
            hydras, own = compose.split(command.overrides)
            every = compose.jobs(own, command.multirun)
            if command.passive:
                for overrides in every:
                    compose.compose([*hydras, *overrides])
                every = []
            checking = _Checking(compose, hydras, made)
            jobs = [checking.job(overrides) for overrides in every]
            if hydras and jobs and not checking.plans:
                check_launcher(settings_of(compose.launcher(hydras)), jobs, command.multirun)
            if checking.plans:
                planned = plan(jobs, checking.shared)
    except USER_ERRORS as error:
        problem = format_error(module, error)
    problem = group.first_error(problem)
    if group.is_main and (problem or planned):
        for folder in made:
            _remove_cache(folder)
    if problem is not None:
        if group.is_main:
            print_line(problem, sys.stderr)
        raise SystemExit(REFUSED)
    _COMMAND[:] = [*_program(), *argv]
    _JOBS[:] = jobs
    _ENDS.clear()
    _LEFT.clear()
    _CHECKED.clear()
    _CHECKED.update({tuple(job.overrides): job for job in jobs})
    return Jobs(jobs, command.multirun, planned)


class _Checking:
    """Checks the jobs of one command line.

    made    gets the folders of runs that are not there before.
    plans   whether any job has plan=true; shared, what the jobs have in common.
    """

    def __init__(self, compose: Composer, hydras: Sequence[str], made: set[Path]) -> None:
        self._compose, self._hydras, self._made = compose, hydras, made
        self._bulk, self.shared, self.plans = Bulk(compose, hydras), Shared(), False

    def job(self, overrides: list[str]) -> Job:
        """The job, or what is wrong with it, told by the keys that the user may have typed."""
        found = self._bulk.resolved(overrides)
        config, plans = without_plan(found.config)
        self.plans |= plans
        folder = Path(str(config["runs_dir"]))
        self._made |= {folder} if not folder.exists() else set()
        here = found.launcher == "basic" and not plans
        try:
            experiment = Experiment.of(config, overrides, found.choices, here=here, shared=self.shared, looks=not plans)
        except ConfigError:
            with naming_presets(self._compose.compose([*self._hydras, *overrides])):
                raise
        return Job(overrides, config, found.choices, experiment)


def checked_job(overrides: Sequence[str]) -> Job | None:
    """The job of this process's command line with just these overrides, as `checked` left it."""
    return _CHECKED.get(tuple(overrides))


def checked_jobs() -> list[Job]:
    """The jobs of this process's command line in their order; none in the process of a launcher."""
    return list(_JOBS)


def failure(overrides: Sequence[str]) -> str | None:
    """Why the job with these overrides failed, as far as it is known."""
    return _FAILED.get(tuple(overrides))


def note_failure(overrides: Sequence[str], reason: str) -> None:
    """For a launcher whose jobs run elsewhere: `finish` tells of the job that it failed, and why."""
    _FAILED[tuple(overrides)] = reason


def note_end(overrides: Sequence[str], text: str, well: bool) -> None:
    """The same for a job that has not failed and has no records; `well` where that is nobody's trouble."""
    _ENDS[tuple(overrides)] = text, well


def note_left() -> None:
    """For a launcher that does not wait: there is nothing to tell of its jobs yet."""
    _LEFT.append(True)


def command() -> list[str]:
    """The command line of this process."""
    return list(_COMMAND)


def _group(module: str) -> ProcessGroup:
    try:
        return process_group()
    except OutOfRange as error:
        print_line(f"{module}: {error}", sys.stderr)
        raise SystemExit(REFUSED) from None


def _remove_cache(runs_dir: Path) -> None:
    """Removes a folder of runs that holds nothing but digests of annotations: a refused command leaves no folder."""
    if runs_dir.is_dir() and all(path.name == ".cache" for path in runs_dir.iterdir()):
        shutil.rmtree(runs_dir)


def run_job(cfg: DictConfig, hydra: Any) -> None:
    """The body of one job under Hydra. A sweep of this process goes on after a job that failed; see `finish`."""
    overrides = list(hydra.overrides.task)
    multirun = hydra.mode is not None and hydra.mode.name == "MULTIRUN"
    try:
        resume = shlex.join(_COMMAND) if _COMMAND else None
        run_resolved(without_plan(resolved(cfg))[0], overrides, choices_of(hydra.runtime.choices), resume)
    except Interrupted as stop:
        raise SystemExit(stop.code) from None
    except KeyboardInterrupt:
        print_line("stopped at once; the last checkpoint stands")
        raise SystemExit(130) from None
    except JobFailed as error:
        note_failure(overrides, str(error))
        if multirun and not _COMMAND:  # a launcher's process, which learns of it by what is raised
            raise
        if not multirun or process_group().size > 1:  # several processes are now out of step
            raise SystemExit(1) from None


def finish(jobs: Jobs) -> None:
    """Prints what the jobs came to; exit code 1 if any has failed. One that was left to another process has not."""
    if _LEFT:
        return
    failed = {number: _FAILED[key] for number, job in enumerate(jobs.all) if (key := tuple(job.overrides)) in _FAILED}
    ends = {number: _ENDS[key][0] for number, job in enumerate(jobs.all) if (key := tuple(job.overrides)) in _ENDS}
    if jobs.all and process_group().is_main:
        print_line("\n" + table([(job.overrides, job.experiment) for job in jobs.all], failed, ends))
    if failed or not all(well for _, well in _ENDS.values()):
        raise SystemExit(1)


def _program() -> list[str]:
    here = os.environ.get("LOCAL_WORLD_SIZE")  # torchrun's
    if here is not None and process_group().size > 1:
        return ["torchrun", "--nproc-per-node", here, "-m", "paa.train"]
    return ["python", "-m", "paa.train"] if os.path.basename(sys.argv[0]) in ("train.py", "-m") else [sys.argv[0]]
