"""Commands and experiments for tests: in processes of their own, or in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from paa.cli.assemble import assemble
from paa.cli.compose import composer, resolved
from paa.cli.experiment import Experiment, final_detector
from paa.data.sources import Shapes
from paa.detector import Detector
from paa.runs.paths import RunPaths, runs
from paa.runs.record import TrainingRecord

TINY = (
    "recipe=smoke",
    "data.size=64",
    "data.train=12",
    "data.val=4",
    "data.test=2",
    "recipe.channels=16",
    "backbone.widths=[8,16,16,32]",
    "train.batch_size=2",
    "images.test.batch_size=4",
)
"""A training that takes milliseconds a step and learns nothing."""

SHORT = (*TINY, "workers=0", "schedule.steps=4")


def smoke_sources(root: Path) -> tuple[Shapes, ...]:
    """The embedded data sets of TINY and of recipe=smoke."""
    return Shapes(root, train=12, val=4, test=2, size=64), Shapes(root, train=64, val=32, test=32)


def run_cli(*args: str, cwd: Path, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m ARGS`, in the folder `cwd`, to its end."""
    env = {**os.environ, **environment}
    command = [sys.executable, "-m", *args]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False)


@dataclass(frozen=True)
class Ended:
    """What a command in this process came to."""

    code: int
    out: str
    err: str


def call(capsys: pytest.CaptureFixture[str], module: str, *args: str) -> Ended:
    """`python -m MODULE ARGS` within this process: no seconds go into importing torch."""
    main = import_module(module).main
    code: Any = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{module.split('.')[-1]}.py", *args])
        patch.setattr("paa.cli.sweep._FAILED", {})
        patch.setattr("paa.cli.sweep._COMMAND", [])
        capsys.readouterr()
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    text = capsys.readouterr()
    return Ended(code, text.out, text.err)


def configuration(*overrides: str) -> dict[str, Any]:
    """The resolved configuration that `python -m paa.train OVERRIDES` would run."""
    with composer() as compose:
        return resolved(compose.compose(overrides))


def experiment(runs_dir: Path, *overrides: str) -> Experiment:
    """The experiment of TINY and `overrides` below `runs_dir`."""
    every = [*TINY, f"runs_dir={runs_dir}", "workers=0", *overrides]
    return Experiment.of(configuration(*every), every)


def train(capsys: pytest.CaptureFixture[str], *overrides: str) -> Ended:
    """`python -m paa.train` of SHORT and `overrides`, within this process."""
    return call(capsys, "paa.train", *SHORT, *overrides)


def only_run(folder: Path) -> RunPaths:
    """The one run below `folder`/runs."""
    (run,) = runs(folder / "runs")
    return run


def loaded(run: RunPaths) -> Detector:
    """The network of a finished run, with its weights."""
    record = TrainingRecord.read(run.record)
    return final_detector(assemble(record.config), run, record)


def rows(text: str) -> list[list[str]]:
    """The lines of the table that ends a command, split into cells, without the head."""
    lines = text.split("\n\n")[-1].splitlines()
    assert lines[0].split()[:4] == ["run", "what", "split", "voting"]
    return [line.split() for line in lines[1:]]
