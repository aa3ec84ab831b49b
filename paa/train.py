"""Trains and evaluates: `python -m paa.train [group=choice] [key=value]`, or a sweep of such with -m."""

from __future__ import annotations

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from paa.config.paths import HYDRA_VERSION, conf_dir


@hydra.main(config_path=str(conf_dir()), config_name="config", version_base=HYDRA_VERSION)
def _job(cfg: DictConfig) -> None:
    from paa.commands.train import run_job

    run_job(cfg, HydraConfig.get())


def main() -> None:
    """Checks every job of the command line, then lets Hydra run them; exit codes: 0, 1 failed, 2 refused, 130, 143."""
    if {"-sc", "--shell-completion"} & set(sys.argv):
        _job()  # a person waits for it at each press of a key, and importing torch takes seconds
        return
    from paa.commands.train import checked, finish
    from paa.config.compose import flags_first
    from paa.config.user_code import add_cwd_to_path
    from paa.engine.distributed import destroy_process_group, process_group

    add_cwd_to_path()
    try:
        jobs = checked("paa.train", sys.argv[1:])
        if jobs.plan is not None:
            if process_group().is_main:
                print(jobs.plan, end="")
            destroy_process_group()
            return
        sys.argv[1:] = flags_first(sys.argv[1:])
        _job()
        finish(jobs)
        destroy_process_group()
    except KeyboardInterrupt:  # between two jobs
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
