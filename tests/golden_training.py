"""Numbers of two trainings of 20 steps, committed in golden_training.json: `python tests/golden_training.py`.

Whoever changes these numbers must raise `paa.NUMERICS`: otherwise results from before and after would share a run ID.
The script never overwrites the file with other numbers of the same NUMERICS.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import torch
from running import configuration

import paa
from paa import files
from paa.experiment.experiment import Experiment

FILE = Path(__file__).with_suffix(".json")
COMMAND = "python tests/golden_training.py"
CHANGED = f"trained numbers have changed: raise paa.NUMERICS and run `{COMMAND}`"

COMMON = ("recipe=smoke", "schedule.steps=20", "tracking.log_every=1", "evaluate.splits=[]", "workers=0", "device=cpu")
TRAININGS = {
    # AdamW multiplies rounding by thousands where a gradient passes through 0, and a rounding may turn a label at the
    # boundary: a low lr and a seed are chosen with which neither happens.
    "PAA, IoU prediction, AdamW": ("assign=paa", "auxiliary=iou", "recipe.adamw_lr=0.0004", "seed=1"),
    "ATSS, centerness, SGD": ("assign=atss", "auxiliary=centerness", "optim=sgd", "schedule=multistep"),
}

STEP = ("loss", "loss_cls", "loss_box", "loss_aux", "positives")
RELATIVE = {"positives": 0.01}
"""Largest relative difference from the committed number; 1e-4 if not named. CPUs round differently: from SSE4.1
to AVX2 the losses moved by 2e-6 at most, and no count did."""


def train(name: str, runs_dir: Path) -> dict[str, Any]:
    """Train one of TRAININGS; return numbers of each step and of the final weights of each part of the network."""
    overrides = [*COMMON, *TRAININGS[name], f"runs_dir={runs_dir}"]
    experiment = Experiment.of(configuration(*overrides), overrides)
    with contextlib.redirect_stdout(io.StringIO()):
        experiment.run()
    paths = experiment.identity.paths
    lines = [json.loads(line) for line in paths.metrics.read_text(encoding="utf-8").splitlines()]
    sums: dict[str, float] = {}
    for key, tensor in torch.load(paths.weights, weights_only=True).items():
        part = key.split(".")[0]
        for kind, value in (("sum |w|", tensor.double().abs().sum()), ("sum w^2", tensor.double().square().sum())):
            sums[f"{part}, {kind}"] = sums.get(f"{part}, {kind}", 0.0) + float(value)
    return {"steps": [{key: _short(line[key]) for key in STEP} for line in lines], "weights": _shortened(sums)}


def _short(value: float) -> float:
    return float(f"{value:.7g}")


def _shortened(sums: dict[str, float]) -> dict[str, float]:
    return {key: _short(value) for key, value in sums.items()}


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Return a line for each number that differs from the committed one by more than RELATIVE."""
    before, after = dict(_flat(expected)), dict(_flat(found))
    lines = [f"{key}: only in one of the two" for key in sorted(before.keys() ^ after.keys())]
    for key in (key for key in before if key in after):
        allowed = RELATIVE.get(key.split(": ")[-1], 1e-4) * abs(before[key])
        if not abs(after[key] - before[key]) <= allowed:
            lines.append(f"{key}: {after[key]:g}, committed {before[key]:g}")
    return lines


def _flat(numbers: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for number, step in enumerate(numbers["steps"], 1):
        yield from ((f"step {number}: {key}", value) for key, value in step.items())
    yield from ((f"final weights: {key}", value) for key, value in numbers["weights"].items())


def update(path: Path, found: dict[str, Any], numerics: int) -> str:
    """Write `found`, the numbers of all trainings, to `path`; SystemExit 1 if they must not be written.

    Numbers that are those of the file are left there, so that a run on another machine changes nothing.
    """
    if path.exists():
        committed = files.read_json(path)
        changed = [
            f"{name}: {line}"
            for name in TRAININGS
            for line in differences(committed["trainings"].get(name, {"steps": [], "weights": {}}), found[name])
        ]
        if numerics == committed["numerics"]:
            if changed:
                raise SystemExit("\n".join([*changed[:10], f"{path.name} is left as it is; {CHANGED}"]))
            return f"{path.name}: nothing has changed"
    files.write_json(path, {"numerics": numerics, "trainings": found})
    return f"{path.name}: written for NUMERICS {numerics}"


def main() -> None:
    """Train and update the file."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = {name: train(name, Path(folder)) for name in TRAININGS}
    print(update(FILE, found, paa.NUMERICS))


if __name__ == "__main__":
    main()
