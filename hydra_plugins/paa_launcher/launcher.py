"""Launchers of paa: hydra/launcher=slurm (also slurm_8gpu) and local. What they do stands in `paa.launch`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class _Launcher(Launcher):
    """Keeps its node, and hands the checked jobs of the command line on. The node was checked with the jobs."""

    def __init__(self, **settings: Any) -> None:
        self._settings: Any = OmegaConf.to_container(OmegaConf.create(settings))
        self._config = OmegaConf.create()

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's own words for what it runs are not needed: the jobs are resolved already."""
        self._config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs elsewhere; `paa.commands.train.finish` reports what became of each."""
        from paa.commands.launching import launch

        launch(type(self).__name__, self._settings, Path(str(self._config.hydra.sweep.dir)), job_overrides)
        return [JobReturn(overrides=list(one), status=JobStatus.COMPLETED) for one in job_overrides]


class SlurmLauncher(_Launcher):
    """Each training is a job of SLURM."""


class LocalLauncher(_Launcher):
    """So many runs at a time, in processes of this machine."""
