"""Refuse a training that is too long for a CPU, before data are read, unless the user asks for `device=cpu`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

MAX_CPU_PIXELS = 1e10
"""Training pixels (steps x batch size x height x width) that a CPU is used for without `device=cpu`. ResNet-50 with FPN
and head takes 0.7 MFLOP per pixel, forward and backward: almost a day at 100 GFLOP/s. `mini` has 1.5e9 and `coco_1x`
1.2e12."""

_STORED = (480, 640)  # height and width of most COCO images


def too_long(config: Mapping[str, Any]) -> str | None:
    """Return the reason to refuse a training with device=auto where torch has no GPU; None if it is short enough."""
    if config["device"] != "auto" or torch.cuda.is_available():
        return None
    height, width = _training_size(config)
    images = config["schedule"]["steps"] * config["train"]["batch_size"]
    if images * height * width <= MAX_CPU_PIXELS:
        return None
    return (
        f"recipe={config['recipe']['name']}: {images:,} training images of about {height} x {width} pixels take days "
        "on a CPU; add device=cpu to train anyway, or use a machine where torch finds a GPU"
    )


def _training_size(config: Mapping[str, Any]) -> tuple[int, int]:
    """Return (height, width) of a typical training image; images that are not embedded have the shape of COCO's."""
    short, longest = config["images"]["train"]["short"], config["images"]["train"]["longest"]
    side = config["data"].get("size")
    height, width = (side, side) if isinstance(side, int) else _STORED
    if short is None:
        return height, width
    short = short if isinstance(short, int) else sum(short) // len(short)
    return short, min(short * width // height, longest or short * width)
