"""Hours and disk space that a job would take: medians of comparable runs on this machine."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from paa.experiment.identify import Wanted
from paa.experiment.memo import Memo
from paa.experiment.parts import Components
from paa.store import keys
from paa.store.frame import scan
from paa.store.provenance import hardware

WEIGHT_BYTES = 4

IMAGE_BYTES = 500
"""Records and matches of one evaluated image with 100 detections, measured on `mini`."""

_LOG_BYTES = 350  # of metrics and log for a logged step

_COST_KEYS = (
    *("backbone", "detector", "images.train.short", "images.train.longest", "data._target_", "data.size"),
    *("train.batch_size", "train.accumulate", "auxiliary._target_", "anchors.strides", "threads"),
    *("precision", "compile", "channels_last"),
)
"""Runs that agree in these keys are comparable: the assigner takes little of a step."""

_NO_COST = tuple(f"backbone.{key}" for key in ("weights", "expects", "convention", "bn_eps"))


@dataclass(frozen=True)
class Estimate:
    """What a job would still take.

    seconds  of training and evaluation; None without a comparable run on this machine.
    kept     bytes that stay on disk; scratch, more bytes while it trains.
    runs     number of comparable runs that `seconds` is the median of.
    """

    seconds: float | None
    kept: float
    scratch: float
    runs: int


@dataclass
class MeasuredCosts:
    """Of comparable runs: seconds per step, seconds per evaluated image {multi-scale: [...]}, bytes on disk."""

    step_s: list[float] = field(default_factory=list)
    image_s: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    kept: list[float] = field(default_factory=list)


def estimate(parts: Components, steps: int, evaluations: Sequence[Wanted], shared: Memo) -> Estimate:
    """Estimate so many training steps and these evaluations of the job that `parts` describe."""
    config = parts.config
    device = config["device"]
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    costs = shared("costs", config["runs_dir"], lambda: _measured(Path(config["runs_dir"])))
    measured = costs.get(_cost_key(config, device), MeasuredCosts())
    images = sum(_images(parts, one.split, shared) for one in evaluations)
    step_s, image_s = measured.step_s, measured.image_s[parts.scales is not None]
    seconds: float | None = None
    if (step_s or not steps) and (image_s or not images):
        seconds = steps * statistics.median(step_s or [0.0]) + images * statistics.median(image_s or [0.0])
    kept, scratch = float(images * IMAGE_BYTES), 0.0
    if steps:
        weights = WEIGHT_BYTES * shared("weights", parts.network, lambda: _count_weights(parts))
        logs = _LOG_BYTES * steps / config["tracking"]["log_every"]
        kept = statistics.median(measured.kept or [weights + kept + logs])
        moments = 2 if "betas" in config["optim"] else 1
        # One more than `keep`: the next is written before the oldest is removed.
        scratch = (config["checkpoint"]["keep"] + 1) * weights * (1 + moments)
    return Estimate(seconds, kept, scratch, len(step_s))


def _images(parts: Components, split: str, shared: Memo) -> int:
    limit = parts.config["debug"]["images"]
    count = shared("count", [parts.config["data"], split], lambda: parts.source.count(split))
    return count if limit is None else min(limit, count)


def _measured(runs_dir: Path) -> dict[str, MeasuredCosts]:
    """{cost key: what runs with it took} of the finished runs of this machine."""
    found: dict[str, MeasuredCosts] = defaultdict(MeasuredCosts)
    here = _machine(hardware())
    for paths, training, evaluations in scan(runs_dir):
        comparable = not training.converted and training.world_size == 1 and training.steps
        if not comparable or _machine(training.origin.get("hardware", {})) != here:
            continue
        measured = found[_cost_key(training.config, training.device)]
        measured.step_s.append(training.wall_s / training.steps)
        for one in evaluations:
            if one.images:
                measured.image_s[one.multiscale].append(one.wall_s / one.images)
        if paths.weights.exists():
            measured.kept.append(sum(file.stat().st_size for file in paths.folder.rglob("*") if file.is_file()))
    return found


def _count_weights(parts: Components) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in parts.detector(80).parameters())


def _machine(of: Mapping[str, Any]) -> tuple[Any, ...]:
    return of.get("cpu"), of.get("cores"), of.get("gpu")


def _cost_key(config: Mapping[str, Any], device: str) -> str:
    """Return a text that is equal for runs whose steps cost the same."""
    values = keys.flatten({key: keys.get(config, key) for key in _COST_KEYS})
    return repr([device, sorted((key, str(value)) for key, value in values.items() if key not in _NO_COST)])
