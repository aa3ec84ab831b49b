"""How long a run would take on this machine, and how much disk: from like runs that ended here, else from FLOPs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from paa import keys
from paa.engine.effort import gpu_rate
from paa.experiment import cost as feasible
from paa.experiment.evaluation import Wanted
from paa.experiment.memo import Shared
from paa.experiment.parts import Parts
from paa.store.frame import scan
from paa.store.identity import INERT
from paa.store.provenance import hardware

WEIGHT_BYTES = 4

IMAGE_BYTES = 500
"""Of the matches and numbers that an evaluation leaves, for an image; 100 detections each, measured on `mini`."""

_LOG_BYTES = 350  # of metrics and log for a logged step

_ALIKE = (
    *("backbone", "detector", "images.train.short", "images.train.longest", "data._target_", "data.size"),
    *("train.batch_size", "train.accumulate", "auxiliary._target_", "anchors.strides", "threads"),
    *("precision", "compile", "channels_last"),
)
"""What a step costs follows from these keys; the assigner takes little of it."""

_NO_COST = tuple(f"backbone.{key}" for key in ("weights", "expects", "convention", "bn_eps"))


@dataclass(frozen=True)
class Estimate:
    """What a run would still take.

    seconds  of training and evaluation; None where it cannot be told.
    kept     bytes that stay on the disk; scratch, bytes more while it trains.
    runs     how many like runs the seconds are taken from; 0: from FLOPs, which leave out all but the network.
    """

    seconds: float | None
    kept: float
    scratch: float
    runs: int


@dataclass
class Known:
    """What like runs on this machine took: seconds of a step, seconds of an evaluated image without and with many
    scales, bytes on the disk.
    """

    step_s: list[float] = field(default_factory=list)
    image_s: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    kept: list[float] = field(default_factory=list)


class Estimator:
    """Estimates for jobs whose runs lie in `runs_dir`. Reads the records there once."""

    def __init__(self, runs_dir: Path, shared: Shared) -> None:
        self._runs_dir, self._shared = runs_dir, shared

    def of(self, parts: Parts, steps: int, evaluations: Sequence[Wanted]) -> Estimate:
        """The estimate for so many steps and these evaluations; `parts` say what a step and an image are."""
        known = self._known.get(_alike(parts.config, _device(parts.config)), Known())
        images = sum(self._images(parts, one.split) for one in evaluations)
        disk = self._disk(parts, known, steps, images)
        if not steps and not images:
            return Estimate(0.0, *disk, 0)
        image_s = known.image_s[parts.scales is not None]
        if known.step_s and (image_s or not images):
            a_step, an_image = statistics.median(known.step_s), statistics.median(image_s or [0.0])
            return Estimate(steps * a_step + images * an_image, *disk, len(known.step_s))
        return Estimate(self._counted(parts, steps, images), *disk, 0)

    def _counted(self, parts: Parts, steps: int, images: int) -> float | None:
        train = feasible.image_flops(parts, self._shared) if steps else 0.0
        test = feasible.forward_flops(parts, self._shared) if images else 0.0
        elsewhere = parts.config["device"] == "cuda" and not torch.cuda.is_available()
        if train is None or test is None or elsewhere:
            return None
        return (steps * parts.config["train"]["batch_size"] * train + images * test) / self.rate(parts)

    def rate(self, parts: Parts) -> float:
        """FLOP/s that are measured for the device of a job."""
        if _device(parts.config) == "cuda":
            return self._shared.once("gpu", None, gpu_rate)
        return feasible.rate(parts.config["threads"])

    def _disk(self, parts: Parts, known: Known, steps: int, images: int) -> tuple[float, float]:
        evaluations = images * IMAGE_BYTES
        if not steps:
            return evaluations, 0.0
        weights = WEIGHT_BYTES * feasible.count_weights(parts, self._shared)
        logs = _LOG_BYTES * steps / parts.config["tracking"]["log_every"]
        kept = statistics.median(known.kept) if known.kept else weights + evaluations + logs
        moments = 2 if "betas" in parts.config["optim"] else 1
        # One more than stay: the next is written before the oldest goes.
        return kept, (parts.config["checkpoint"]["keep"] + 1) * weights * (1 + moments)

    def _images(self, parts: Parts, split: str) -> int:
        limit = parts.config["debug"]["images"]
        count = self._shared.once("count", [parts.config["data"], split], lambda: parts.source.count(split))
        return count if limit is None else min(limit, count)

    @cached_property
    def _known(self) -> dict[str, Known]:
        """{what tells like runs: what they took}, of those that ended on a machine like this one."""
        found: dict[str, Known] = {}
        here = _machine(hardware())
        for paths, training, evaluations in scan(self._runs_dir):
            if training.converted:  # and not trained
                continue
            if _machine(training.origin.get("hardware", {})) != here or training.world_size != 1 or not training.steps:
                continue
            known = found.setdefault(_alike(training.config, training.device), Known())
            known.step_s.append(training.wall_s / training.steps)
            for one in evaluations:
                if one.images:
                    known.image_s[one.multiscale].append(one.wall_s / one.images)
            if paths.weights.exists():
                known.kept.append(sum(file.stat().st_size for file in paths.folder.rglob("*") if file.is_file()))
        return found


def _device(config: Mapping[str, Any]) -> str:
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    return auto if config["device"] == "auto" else str(config["device"])


def _machine(of: Mapping[str, Any]) -> tuple[Any, ...]:
    return of.get("cpu"), of.get("cores"), of.get("gpu")


def _alike(config: Mapping[str, Any], device: str) -> str:
    """Equal for runs whose steps cost the same.

    Keys younger than a record count as what they mean where they are not: INERT says so of each.
    """
    found = keys.flatten({key: keys.get(config, key) for key in _ALIKE})
    told = {key: value for key, value in found.items() if value is not None and key not in _NO_COST}
    return repr([device, sorted((key, str(value)) for key, value in told.items() if INERT.get(key, told) != value)])
