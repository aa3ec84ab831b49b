"""hydra/sweeper=paa, the default: the product of all lists; only jobs that are not finished reach the launcher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class PaaSweeper(Sweeper):
    """Launches the jobs that the command has already composed and checked.

    max_batch_size  jobs that go to the launcher at a time; None: all.
    """

    def __init__(self, max_batch_size: int | None) -> None:
        self.max_batch_size = max_batch_size

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what `sweep` needs."""
        self.config, self._jobs = config, cast("Any", task_function)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the jobs."""
        folder = Path(str(self.config.hydra.sweep.dir))
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        return self._jobs.launch(self._launch, self.max_batch_size)

    def _launch(self, overrides: Sequence[Sequence[str]], first: int) -> Sequence[Any]:
        return self.launcher.launch(overrides, initial_job_idx=first)
