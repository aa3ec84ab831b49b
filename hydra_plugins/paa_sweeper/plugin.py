"""hydra/sweeper=paa, the default: Hydra's grid, of which nothing is composed or checked twice and nothing run twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from omegaconf import OmegaConf


class PaaSweeper(BasicSweeper):
    """Takes the jobs as `paa.commands.train.checked` left them, and gives the launcher those that are not finished.

    max_batch_size  jobs that go to the launcher at a time; None: all.
    """

    def __init__(self, max_batch_size: int | None) -> None:
        super().__init__(max_batch_size)

    def sweep(self, arguments: list[str]) -> Any:
        """Runs the jobs of the command line. What became of each is told by `paa.commands.train.finish`."""
        # Here and not above: Hydra imports every plugin for a press of the TAB key, too.
        from paa.commands.sweeping import run_all
        from paa.commands.train import checked_jobs

        jobs = checked_jobs()
        if not jobs:  # of another program that has chosen this sweeper
            return super().sweep(arguments)
        assert self.config is not None
        folder = Path(str(self.config.hydra.sweep.dir))
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        return run_all(jobs, self._launch, self.max_batch_size)

    def _launch(self, overrides: Sequence[Sequence[str]], first: int) -> Sequence[Any]:
        assert self.launcher is not None
        return self.launcher.launch(overrides, initial_job_idx=first)
