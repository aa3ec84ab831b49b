"""Commands and experiments for tests: in processes of their own, or in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paa.cli.compose import composer, resolved
from paa.cli.experiment import Experiment

TINY = (
    "recipe=smoke",
    "data.size=64",
    "data.train=12",
    "data.val=4",
    "data.test=2",
    "recipe.channels=16",
    "++backbone.widths=[8,16,16,32]",
    "train.batch_size=2",
    "images.test.batch_size=4",
)
"""A training that takes milliseconds a step and learns nothing."""


def run_cli(*args: str, cwd: Path, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m ARGS`, in the folder `cwd`, to its end."""
    command = [sys.executable, "-m", *args]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False)


def configuration(*overrides: str) -> dict[str, Any]:
    """The resolved configuration that `python -m paa.train OVERRIDES` would run."""
    with composer() as compose:
        return resolved(compose.compose(overrides))


def experiment(runs_dir: Path, *overrides: str) -> Experiment:
    """The experiment of TINY and `overrides` below `runs_dir`."""
    every = [*TINY, f"runs_dir={runs_dir}", "workers=0", *overrides]
    return Experiment.of(configuration(*every), every)


def train(runs_dir: Path, *overrides: str, said: list[str] | None = None) -> Experiment:
    """`experiment`, run to its end; what it says goes into `said`."""
    made = experiment(runs_dir, *overrides)
    made.run((said if said is not None else []).append)
    return made


def lines_of(text: str) -> Sequence[str]:
    """Lines that are not empty."""
    return [line for line in text.splitlines() if line.strip()]
