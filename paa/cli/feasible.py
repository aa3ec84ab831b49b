"""Refuses, before data are read, a training that nobody meant to run on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

from paa.cli.assemble import Parts, apply_threads
from paa.engine.effort import cpu_rate, step_flops, surely_below

DAY = 86400.0

_STORED = (480, 640)  # pixels of an image of which nothing is known yet: COCO's most frequent size


def too_long(parts: Parts) -> str | None:
    """What to say where the training would take more than a day here and `device=cpu` was not said; else None.

    Costs nothing for small trainings, half a second for large ones, and nothing where there is a GPU.
    """
    config = parts.config
    if config["device"] != "auto" or torch.cuda.is_available():
        return None
    height, width = _size(config)
    images = parts.schedule.steps * config["train"]["batch_size"]
    with torch.device("meta"):
        detector = parts.detector(80)
    weights = sum(p.numel() for p in detector.parameters())
    if surely_below(DAY, weights, images * height * width):
        return None
    flops = step_flops(detector, height, width, passes=2 if config["train"]["accumulate"] > 1 else 1)
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


@cache
def _rate(threads: int | None) -> float:
    apply_threads({"threads": threads})
    return cpu_rate()


def _about(days: float) -> str:
    """Two digits: more would pretend."""
    return f"{float(f'{days:.2g}'):,g}"


def _size(config: Mapping[str, Any]) -> tuple[int, int]:
    """Pixels of a middling training image: the stated side, in the form of a COCO image."""
    node, data = config["images"]["train"], config["data"]
    short = node["short"]
    if short is None:
        side = data.get("size")
        return (side, side) if isinstance(side, int) else _STORED
    if not isinstance(short, int):
        short = sum(short) // len(short)
    if isinstance(data.get("size"), int):  # embedded images are square
        return short, short
    width = short * _STORED[1] // _STORED[0]
    return short, min(width, node["longest"] or width)
