"""How tests run the trainings of the documentation: as they are written, with data and a network of milliseconds.

What is at COCO's scale (recipe=coco_*, device=cuda) is composed and built, every job of it, and not run. All else is
run to its end: `small` says with which keys. Of a sweep of more than MOST jobs all are composed and built and the first
is run. Jobs of a launcher run in this process: tests/launch and tests/slurm run them elsewhere.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from running import TINY, call

from paa.config.compose import Composer, composer, flags_first, parse, resolved
from paa.experiment.parts import assemble

ANY = tuple(word for word in TINY if not word.startswith(("data.", "backbone.", "recipe=")))
"""Of TINY what every recipe, backbone and all data take."""

MOST = 4
"""Jobs of a sweep that are all run."""

SMALL_SCALES = ("postprocess.multiscale.short=[48]", "postprocess.multiscale.sides=null")
"""In place of the twelve scales of a multi-scale test, which are for images of some size."""

BIN = Path(sys.executable).parent

_BUILT: set[tuple[str, ...]] = set()
"""Jobs that have been built: pages name some of them more than once."""


def check_training(words: Sequence[str], folder: Path, capsys: pytest.CaptureFixture[str], processes: int = 1) -> None:
    """Every job of `paa.train WORDS` composes and builds, and what is not at COCO's scale is trained, in `folder`.

    processes  where torchrun is to start it: in as many processes of their own.
    """
    command = parse(flags_first(words))
    write_weights(words, folder)
    plans = "plan=true" in words  # which builds every job itself, and trains none
    with composer(command.config_dir) as compose:
        hydras, own = compose.split(command.overrides)
        jobs = compose.jobs(own, command.multirun)
        first = resolved(compose.compose(jobs[0]))
        scaled = [bool(resolved(compose.compose(job))["postprocess"]["multiscale"]) for job in jobs[: MOST + 1]]
        if not plans:
            unlike = {tuple(w for w in job if not w.startswith("seed=")): job for job in jobs}  # a seed builds the same
            build_all(compose, list(unlike.values()))
    if at_scale(first, words):
        return
    if len({*scaled}) > 1 and len(jobs) <= MOST:  # the keys of scales are some jobs' alone
        for job in jobs:
            check_training(
                [*(["--config-dir", command.config_dir] if command.config_dir else []), *job], folder, capsys
            )
        return
    more = () if plans else small(first, words)
    if len(jobs) > MOST and not plans:
        words = [*(["--config-dir", command.config_dir] if command.config_dir else []), *jobs[0]]
    elif hydras:
        words = [word for word in words if word not in hydras]
    if processes > 1:
        run_on(processes, [*words, *more], folder)
        return
    ended = call(capsys, "paa.train", *words, *more)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert "not finished" not in ended.out


def build_all(compose: Composer, jobs: Sequence[Sequence[str]]) -> None:
    """Builds each job that has not been built before."""
    for overrides in jobs:
        if (key := tuple(overrides)) not in _BUILT:
            assemble(resolved(compose.compose(overrides)))
            _BUILT.add(key)


def at_scale(config: dict[str, Any], words: Sequence[str]) -> bool:
    """Whether it wants days of a GPU."""
    return config["recipe"]["name"].startswith("coco") or "device=cuda" in words


def small(config: dict[str, Any], words: Sequence[str]) -> tuple[str, ...]:
    """Keys that make a training one of milliseconds a step; what the command itself says of images stays.

    The runs are made in a folder of their own: tables of the folder `runs` would compose every row to look for them.
    One that starts from a run (finetune.from=ID) is made beside it.
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
    """The files of weights that a command names: of the backbone, or of the whole network, with numbers of no use."""
    for word in words:
        key, _, value = word.partition("=")
        path = folder / value
        if key == "backbone.weights" and (name := re.fullmatch(r"(resnet\d+)\.pth", value)) and not path.exists():
            torch.save(torchvision.models.get_model(name[1]).state_dict(), path)
        elif key == "finetune.from" and value.endswith(".pth") and not path.exists():
            with composer(None) as compose:
                parts = assemble(resolved(compose.compose([*(w for w in words if w != word), *ANY])))
            torch.save(parts.detector(3, load_weights=False).state_dict(), path)


def run_on(processes: int, words: Sequence[str], folder: Path) -> None:
    """`torchrun -m paa.train WORDS` in `folder`, as many processes, to its end."""
    command = ["torchrun", "--standalone", "--nproc-per-node", str(processes), "-m", "paa.train", *words]
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "not finished" not in done.stdout


def made_by(target: str, makefile: str) -> Iterator[list[str]]:
    """The trainings that `make TARGET` starts, each as the words after paa.train."""
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)*)", makefile, re.M)
    assert recipe, f"the Makefile has no target {target}"
    for line in recipe[1].splitlines():
        found = re.search(r"-m paa\.train (.*)", line)
        if found:
            yield found[1].split()
