"""Run a command line's jobs through Hydra: its sweeper, launcher, job folders, logging and callbacks.

Each job is composed once, by `Composer.load`. The sweeper and the launcher get it from there: Hydra's own and third
parties' (hydra/launcher=joblib, submitit_slurm, hydra/sweeper=optuna) work as they document, since they see nothing but
Hydra's interfaces. A launcher that starts other processes composes the job again there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, Protocol, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from paa.config.compose import Command, Composer, JobConfig, choices_of, parse, resolved
from paa.config.errors import ConfigError
from paa.config.hydra_internal import BASIC_LAUNCHER, Callbacks
from paa.config.paths import HYDRA_VERSION, conf_dir
from paa.config.suggestions import with_preset

GRID_SWEEPER = "hydra_plugins.paa_sweeper.plugin.PaaSweeper"
"""`_target_` of the default sweeper, whose jobs are known before the first one starts."""


class Jobs(Protocol):
    """What runs jobs. It is pickled for launchers that start other processes, and then has prepared none."""

    def prepare(self, job: JobConfig) -> None:
        """Check a job and keep it; called once per job, before any of its launch runs. ConfigError refuses it."""

    def run(self, job: JobConfig) -> float | None:
        """Run a job and return its objective."""


class App:
    """One command line of paa.train.

    node   Hydra's own configuration of the whole command (`hydra.launcher`, `hydra.sweeper`, ...).
    """

    def __init__(self, command: Command) -> None:
        self.command = command
        bare = Composer(command.config_dir)
        own, self._task = bare.split(command.overrides)
        self.compose = Composer(command.config_dir, own) if own else bare
        self._master: DictConfig | None = None
        if command.multirun:
            self._master = self.compose.load(self._task, RunMode.MULTIRUN)
            self._master.hydra.mode = RunMode.MULTIRUN

    @property
    def launcher(self) -> dict[str, Any]:
        """The `_target_` and settings of hydra/launcher. A single run is not launched, whatever they say."""
        cfg = self.compose.launched(self._task) if self._master is None else self._master
        return cast("dict[str, Any]", OmegaConf.to_container(cfg.hydra.launcher))

    @property
    def in_process(self) -> bool:
        """Whether the jobs run in this process."""
        return self._master is None or self.launcher["_target_"] == BASIC_LAUNCHER

    def jobs(self) -> list[JobConfig]:
        """Compose the jobs that are known before anything runs; none where a third party's sweeper proposes them."""
        if self._master is not None and self._master.hydra.sweeper._target_ != GRID_SWEEPER:
            return []
        return [self.compose.job(overrides) for overrides in self.compose.jobs(self._task, self.command.multirun)]

    def run(self, jobs: Jobs) -> None:
        """Hand the jobs to Hydra. What `jobs.run` raises in this process reaches Hydra, which knows it as a failure."""
        prepared = {job.overrides for job in self.jobs()}

        def config(overrides: list[str]) -> DictConfig:
            if tuple(overrides) not in prepared:
                prepared.add(tuple(overrides))
                self.prepare(jobs, self.compose.job(overrides))
            cfg = self.compose.launched(overrides)
            if self._master is not None:
                OmegaConf.copy_cache(from_config=self._master, to_config=cfg)  # one time stamp for the whole sweep
            return cfg

        self.compose.loader.job_config = config
        task = Task(jobs, self.compose)
        if self._master is None:
            self._run_one(config([*self._task]), task)
            return
        callbacks = Callbacks(self._master)
        callbacks.on_multirun_start(config=self._master, config_name="config")
        context = HydraContext(config_loader=self.compose.loader, callbacks=callbacks)
        sweeper = Plugins.instance().instantiate_sweeper(config=self._master, hydra_context=context, task_function=task)
        sweeper.sweep(arguments=self._task)
        callbacks.on_multirun_end(config=self._master, config_name="config")

    def prepare(self, jobs: Jobs, job: JobConfig) -> None:
        """Prepare a job; where a value comes from a preset, the error names the preset's key, too."""
        try:
            jobs.prepare(job)
        except ConfigError as error:
            error.args = (with_preset(str(error), self.compose.compose(job.overrides)),)
            raise

    def _run_one(self, cfg: DictConfig, task: Task) -> None:
        cfg.hydra.mode = RunMode.RUN
        callbacks = Callbacks(cfg)
        callbacks.on_run_start(config=cfg, config_name="config")
        context = HydraContext(config_loader=self.compose.loader, callbacks=callbacks)
        done = run_job(
            task_function=task,
            config=cfg,
            job_dir_key="hydra.run.dir",
            job_subdir_key=None,
            hydra_context=context,
        )
        callbacks.on_run_end(config=cfg, config_name="config", job_return=done)


class Task:
    """Hydra's task function. Launchers pickle it; paa's own sweeper and launchers find `jobs` here."""

    def __init__(self, jobs: Jobs, compose: Composer | None) -> None:
        self.jobs, self._compose = jobs, compose

    def __call__(self, cfg: DictConfig) -> float | None:
        """Run one job and return its objective."""
        own = HydraConfig.get()
        os.chdir(own.runtime.cwd)  # hydra.job.chdir=true: paths stay relative to where the command was started
        overrides = list(own.overrides.task)
        if self._compose is not None:
            return self.jobs.run(self._compose.job(overrides))
        return self.jobs.run(JobConfig(tuple(overrides), resolved(cfg), choices_of(own.runtime.choices)))

    def __getstate__(self) -> dict[str, Any]:
        """Leave the composed jobs behind: in another process, Hydra composes the job."""
        return {"jobs": self.jobs, "_compose": None}


def read(argv: Sequence[str]) -> Command | None:
    """Parse a command line; None where it only shows something (--help, --cfg, --info, completion), which is done.

    A wrong flag or override ends the process with 2.
    """

    @hydra.main(config_path=str(conf_dir()), config_name="config", version_base=HYDRA_VERSION)
    def _nothing(cfg: DictConfig) -> None:
        """Never called: each of these flags only prints."""

    try:
        command = parse(argv)
        if command.checked:
            App(command).jobs()
    except ConfigError as error:
        print(f"paa.train: {error}", file=sys.stderr)
        sys.exit(2)
    if not command.passive:
        return command
    _nothing()
    return None
