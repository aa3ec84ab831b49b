"""Launchers of paa: hydra/launcher=slurm (also slurm_8gpu) and local."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class _Launcher(Launcher):
    """Runs the jobs that the command has already composed and checked, in other processes."""

    def __init__(self, **settings: Any) -> None:
        self._settings: Any = OmegaConf.to_container(OmegaConf.create(settings))

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what `launch` needs."""
        self._config, self._jobs = config, cast("Any", task_function)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; what became of each is noted in the command's jobs."""
        target = f"{type(self).__module__}.{type(self).__name__}"
        folder = Path(str(self._config.hydra.sweep.dir))
        self._jobs.submit({"_target_": target, **self._settings}, folder, job_overrides)
        return [JobReturn(overrides=list(one), status=JobStatus.COMPLETED) for one in job_overrides]


class SlurmLauncher(_Launcher):
    """Each training is a job of SLURM."""


class LocalLauncher(_Launcher):
    """Up to `n` trainings at a time, in processes of this machine."""
