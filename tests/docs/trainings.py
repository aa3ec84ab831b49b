"""Run the trainings of the documentation as written, with data and a network that take milliseconds a step.

A command at COCO's scale (recipe=coco_*, device=cuda) is run with plan=true: every job is composed, built and
identified, nothing is trained. Any other command is trained to its end: `small` adds the keys. Of a sweep of more than
MOST jobs only the first is run: tests/config builds all rows of all tables. Jobs of a launcher run in this process:
tests/launch and tests/slurm run them elsewhere.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from running import TINY, call, configuration

from paa.config.compose import Composer, parse, resolved
from paa.experiment.parts import assemble

ANY = tuple(word for word in TINY if not word.startswith(("data.", "backbone.", "recipe=")))
"""The keys of TINY that every recipe, backbone and data set has."""

MOST = 3
"""Largest number of jobs of which all are run."""

SMALL_SCALES = ("postprocess.multiscale.short=[48]", "postprocess.multiscale.sides=null")
"""Instead of the twelve scales of a multi-scale test."""

BIN = Path(sys.executable).parent


def check_training(words: Sequence[str], folder: Path, capsys: pytest.CaptureFixture[str], processes: int = 1) -> None:
    """Run `paa.train WORDS` in `folder`, small, and assert that it succeeds.

    processes  number of processes that torchrun starts.
    """
    command = parse(words)
    write_weights(words, folder)
    compose = Composer(command.config_dir)
    launcher, own = compose.split(command.overrides)
    jobs = compose.jobs(own, command.multirun)
    configs = [resolved(compose.compose(job)) for job in (jobs if len(jobs) <= MOST else jobs[:1])]
    first = configs[0]
    flags = ["--config-dir", command.config_dir] if command.config_dir else []
    if len({bool(config["postprocess"]["multiscale"]) for config in configs}) > 1:  # the keys of scales differ
        for job in jobs:
            check_training([*flags, *launcher, *job], folder, capsys)
        return
    if len(jobs) > MOST:
        own = jobs[0]
    elif command.multirun:
        flags.append("-m")
    if at_scale(first, words):
        check_call("paa.train", [*flags, *launcher, *own, "plan=true"], capsys)
        return
    small_words = [*flags, *own, *small(first, words)]
    if processes > 1:
        run_on(processes, small_words, folder)
        return
    if launcher:
        check_call("paa.train", [*flags, *launcher, *own, "plan=true"], capsys)
    check_call("paa.train", small_words, capsys)


def check_call(module: str, words: Sequence[str], capsys: pytest.CaptureFixture[str], *more: str) -> None:
    """Run `python -m MODULE WORDS` in this process and assert that it succeeds."""
    ended = call(capsys, module, *words, *more)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err


def at_scale(config: dict[str, Any], words: Sequence[str]) -> bool:
    """Return whether a training takes days of a GPU."""
    return config["recipe"]["name"].startswith("coco") or "device=cuda" in words


def small(config: dict[str, Any], words: Sequence[str]) -> tuple[str, ...]:
    """Return keys with which a training takes milliseconds a step; what the command sets of the images is kept.

    The runs are made in a folder of their own: tables of the folder `runs` would compose every row to find them. A run
    that starts from another one (finetune.from=ID) is made beside it.
    """
    said, tiny = {word.split("=")[0] for word in words}, "widths" in config["backbone"]
    pictures = config["tracking"]["images"]["steps"]
    steps = max([2 if tiny else 1, *(step for step in pictures if isinstance(step, int))])
    more = ["workers=0", *ANY, f"schedule.steps={steps}"]
    if "finetune.from" not in said:
        more.append("runs_dir=trained")
    if config["data"]["_target_"] == "paa.datasets.Shapes":
        more += [word for word in TINY if word.startswith("data.")]
    if tiny:
        more += [word for word in TINY if word.startswith("backbone.")]
    if "images.train.short" not in said:
        more += ["images.train.short=64", "images.test.short=64"]
    if config["postprocess"]["multiscale"]:
        more += SMALL_SCALES
    if pictures and "tracking.images.count" not in said:
        more.append("tracking.images.count=1")
    if "debug=profile" in words:
        more += ["schedule.steps=12", "debug.profile=2"]  # the first ten are not profiled
    if "tracking=wandb" in words:
        more += ["tracking.mode=offline", "tracking.system_stats=false"]  # no test talks to a server
    return tuple(more)


def write_weights(words: Sequence[str], folder: Path) -> None:
    """Write the weight files that a command names, untrained."""
    for word in words:
        key, _, value = word.partition("=")
        path = folder / value
        if key == "backbone.weights" and value.endswith(".pth") and not path.exists():
            name = re.fullmatch(r"(resnet\d+)\.pth", value)
            first = {"conv1.weight": torch.zeros(64, 3, 7, 7)}  # enough for a dry run
            torch.save(torchvision.models.get_model(name[1]).state_dict() if name else first, path)
        elif key == "finetune.from" and value.endswith(".pth") and not path.exists():
            parts = assemble(configuration(*(w for w in words if w != word), *ANY))
            torch.save(parts.detector(3, load_weights=False).state_dict(), path)


def run_on(processes: int, words: Sequence[str], folder: Path) -> None:
    """Run `torchrun -m paa.train WORDS` in `folder` with so many processes and assert that it succeeds."""
    command = ["torchrun", "--standalone", "--nproc-per-node", str(processes), "-m", "paa.train", *words]
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
