"""Run commands and experiments in tests, in this process or in others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from paa.commands.train import Jobs
from paa.config.compose import App, Composer, parse, resolved
from paa.datasets.formats.sources import Shapes
from paa.detector import Detector
from paa.evaluation.coco import NUMBERS
from paa.experiment.experiment import Experiment, final_detector
from paa.experiment.identify import Wanted
from paa.experiment.parts import assemble
from paa.store.paths import RunPaths, runs
from paa.store.provenance import hardware
from paa.store.record import EvaluationRecord, TrainingRecord

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
    """Return the embedded data sets of TINY and of recipe=smoke."""
    return Shapes(root, train=12, val=4, test=2, size=64), Shapes(root, train=64, val=32, test=32)


def run_cli(*args: str, cwd: Path, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m ARGS` in the folder `cwd` to its end."""
    env = {**os.environ, **environment}
    command = [sys.executable, "-m", *args]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False)


@dataclass(frozen=True)
class Ended:
    """Exit code and output of a command that ran in this process."""

    code: int
    out: str
    err: str


def call(capsys: pytest.CaptureFixture[str], module: str, *args: str) -> Ended:
    """Run `python -m MODULE ARGS` in this process, without the seconds of importing torch."""
    main = import_module(module).main
    code: Any = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{module.split('.')[-1]}.py", *args])
        capsys.readouterr()
        try:
            code = main() or 0
        except SystemExit as end:
            code = end.code or 0
    text = capsys.readouterr()
    return Ended(code, text.out, text.err)


def configuration(*overrides: str) -> dict[str, Any]:
    """Return the resolved configuration of `python -m paa.train OVERRIDES`."""
    return resolved(Composer().compose(overrides))


def experiment(runs_dir: Path, *overrides: str, here: bool = False) -> Experiment:
    """Return the experiment of TINY and `overrides` below `runs_dir`; `here`: it will run in this process."""
    every = [*TINY, f"runs_dir={runs_dir}", "workers=0", *overrides]
    return Experiment.of(configuration(*every), every, here=here)


def checked(*words: str) -> Jobs:
    """The jobs of `python -m paa.train WORDS`, checked and not run."""
    app = App(parse(words))
    jobs = Jobs(["paa-train"], app)
    jobs.all = [jobs.prepare(job) for job in app.jobs()]
    return jobs


def train(capsys: pytest.CaptureFixture[str], *overrides: str) -> Ended:
    """Run `python -m paa.train` with SHORT and `overrides` in this process."""
    return call(capsys, "paa.train", *SHORT, *overrides)


def as_finished(
    paths: RunPaths, config: Mapping[str, Any], every: Sequence[Wanted], digests: Mapping[str, str], **changes: Any
) -> TrainingRecord:
    """Write the records of a finished run with these evaluations, without training."""
    training = TrainingRecord(
        train_id=paths.train_id,
        config=dict(config),
        overrides=[],
        digests=dict(digests),
        seed=config["seed"],
        threads=1,
        device="cpu",
        steps=config["schedule"]["steps"],
        started=0.0,
        wall_s=60.0,
        weights_sha256="0" * 64,
        origin={"hardware": hardware()},
        categories=[[1, "disc"]],
    )
    training = replace(training, **changes)
    training.write(paths.record)
    for one in every:
        record = EvaluationRecord(
            eval_id=one.eval_id,
            train_id=paths.train_id,
            split=one.split,
            voting=one.voting,
            postprocess={**config["postprocess"], "voting": one.voting},
            digests=dict(digests),
            numbers=dict.fromkeys(NUMBERS, 50.0),
            per_class={"disc": 50.0},
            iou_error=0.1,
            images=4,
            detections=40,
            matched=4,
            wall_s=2.0,
            weights_sha256="0" * 64,
            origin={},
        )
        record.write(paths.evaluation(one.eval_id))
    return training


def only_run(folder: Path) -> RunPaths:
    """Return the only run below `folder`/runs."""
    (run,) = runs(folder / "runs")
    return run


def loaded(run: RunPaths) -> Detector:
    """Return the network of a finished run with its weights."""
    record = TrainingRecord.read(run.record)
    return final_detector(assemble(record.config), run, record)


def rows(text: str) -> list[list[str]]:
    """Return the rows of the table that ends a command, split into cells, without the header."""
    lines = text.split("\n\n")[-1].splitlines()
    assert lines[0].split()[:4] == ["run", "what", "split", "voting"]
    return [line.split() for line in lines[1:]]
