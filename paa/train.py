"""Trains and evaluates: `python -m paa.train [group=choice] [key=value]`, or a sweep of such with -m."""

from __future__ import annotations

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from paa.cli.compose import HYDRA_VERSION
from paa.cli.folders import conf_dir
from paa.cli.sweep import checked, finish, run_job


@hydra.main(config_path=str(conf_dir()), config_name="config", version_base=HYDRA_VERSION)
def _job(cfg: DictConfig) -> None:
    run_job(cfg, HydraConfig.get())


def main() -> None:
    """Checks every job of the command line, then lets Hydra run them; exit codes: 0, 1 failed, 2 refused, 130, 143."""
    try:
        jobs = checked("paa.train", sys.argv[1:])
        _job()
        finish(jobs)
    except KeyboardInterrupt:  # between two jobs
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
