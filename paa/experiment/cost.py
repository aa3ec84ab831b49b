"""Refuses, before data are read, a training that nobody meant to run on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

from paa.detector import Detector
from paa.engine.effort import count_flops, cpu_rate, step_flops, surely_below
from paa.experiment.memo import Shared
from paa.experiment.parts import Parts, apply_threads

DAY = 86400.0

_STORED = (480, 640)  # pixels of an image of which nothing is known yet: COCO's most frequent size


def too_long(parts: Parts, shared: Shared | None = None) -> str | None:
    """What to say where the training would take more than a day here and `device=cpu` was not said; else None.

    Costs nothing for small trainings, half a second for large ones, and nothing where there is a GPU.
    """
    config = parts.config
    if config["device"] != "auto" or torch.cuda.is_available():
        return None
    shared = shared or Shared()
    height, width = training_size(config)
    images = parts.schedule.steps * config["train"]["batch_size"]
    if surely_below(DAY, count_weights(parts, shared), images * height * width):
        return None
    flops = image_flops(parts, shared)
    if flops is None:
        return None
    rate = _rate(config["threads"])
    days = images * flops / rate / DAY
    if days <= 1:
        return None
    return (
        f"recipe={config['recipe']['name']}: would take about {_about(days)} days on this CPU ({images:,} images of "
        f"about {height} x {width} pixels, {flops / 1e9:,.0f} GFLOP each, at {rate / 1e9:,.0f} GFLOP/s); "
        "add device=cpu to do it all the same, or run it where torch sees a GPU"
    )


def count_weights(parts: Parts, shared: Shared) -> int:
    """Parameters of the network, trained or not."""
    return shared.once("weights", parts.network, lambda: sum(p.numel() for p in _network(parts).parameters()))


def image_flops(parts: Parts, shared: Shared) -> float | None:
    """FLOPs of a middling image of a training step; None where they cannot be counted."""
    height, width = training_size(parts.config)
    passes = 2 if parts.config["train"]["accumulate"] > 1 else 1
    of = [parts.network, height, width, passes]
    return shared.once("flops", of, lambda: step_flops(_network(parts), height, width, passes))


def _network(parts: Parts) -> Detector:
    with torch.device("meta"):
        return parts.detector(80)


def forward_flops(parts: Parts, shared: Shared) -> float | None:
    """FLOPs of a middling image of an evaluation, over all its scales; None where they cannot be counted."""
    node = parts.config["images"]["test"]
    sizes = [(node["short"], node["longest"]), *(parts.scales.sizes if parts.scales else ())]
    pixels = [_size(parts.config, {"short": short, "longest": longest}) for short, longest in sizes]
    height, width = pixels[0]
    of = [parts.network, height, width]
    once = shared.once("forward", of, lambda: count_flops(_network(parts), height, width))
    if once is None:
        return None
    mirrors = 2 if parts.scales and parts.scales.mirror else 1
    return once.forward * mirrors * sum(h * w for h, w in pixels) / (height * width)


def rate(threads: int | None) -> float:
    """FLOP/s of this CPU on so many threads, measured once in a process."""
    return _rate(threads)


@cache
def _rate(threads: int | None) -> float:
    apply_threads({"threads": threads})
    return cpu_rate()


def _about(days: float) -> str:
    """Two digits: more would pretend."""
    return f"{float(f'{days:.2g}'):,g}"


def training_size(config: Mapping[str, Any]) -> tuple[int, int]:
    """(height, width) in pixels of a middling training image: the stated side, in the form of a COCO image."""
    return _size(config, config["images"]["train"])


def _size(config: Mapping[str, Any], node: Mapping[str, Any]) -> tuple[int, int]:
    data, short = config["data"], node["short"]
    if short is None:
        side = data.get("size")
        return (side, side) if isinstance(side, int) else _STORED
    if not isinstance(short, int):
        short = sum(short) // len(short)
    if isinstance(data.get("size"), int):  # embedded images are square
        return short, short
    width = short * _STORED[1] // _STORED[0]
    return short, min(width, node["longest"] or width)
