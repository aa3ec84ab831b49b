"""What a training costs: the network's FLOPs, and from them how long it would take on this CPU, never too long."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torchvision  # noqa: F401  registers deform_conv2d
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

SLOW_CPU = 1e10
"""FLOP/s that any CPU reaches that is worth asking about."""

MOST_PER_WEIGHT = 0.2
"""No network here does more FLOPs for a pixel and a weight (ResNet-50: 0.02; a thin one whose weights all act at
stride 8, forward and backward: below 0.1)."""


def surely_below(seconds: float, weights: int, pixels: float) -> bool:
    """Whether a training of a network of so many weights on so many pixels in all is known to take less on any CPU.

    A bound that costs nothing, so that small trainings need no counting.
    """
    return MOST_PER_WEIGHT * weights * pixels / SLOW_CPU < seconds


class Flops(NamedTuple):
    """FLOPs of an image: `forward` through the network, and of these in layers that are not trained."""

    forward: float
    frozen: float

    def step(self, passes: int = 1) -> float:
        """Of a training step: `passes` times forward, and backward through what is trained."""
        # Backward costs a forward pass for the gradient of the maps and another for that of the weights.
        return self.forward * passes + 2 * (self.forward - self.frozen)


def count_flops(detector: nn.Module, height: int, width: int) -> Flops | None:
    """FLOPs of an image of so many pixels; sides are rounded up to multiples of 32.

    detector  on the meta device: nothing is computed. Counted are convolutions, deformable ones too, and products, two
              FLOPs a multiplication. None where a layer cannot run without data.
    """
    image = torch.empty(1, 3, -(-height // 32) * 32, -(-width // 32) * 32, device="meta")
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.torchvision.deform_conv2d: _deformable})
    try:
        with counter, torch.no_grad():
            detector(image)
    except (NotImplementedError, RuntimeError):
        return None
    frozen = 0.0
    counts = counter.get_flop_counts()
    name = type(detector).__name__
    for path, module in detector.named_modules():
        own = list(module.parameters(recurse=False))
        if own and not any(p.requires_grad for p in own):
            frozen += float(sum(counts.get(f"{name}.{path}", {}).values()))
    return Flops(float(counter.get_total_flops()), frozen)


def _deformable(x: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any) -> int:
    """FLOPs of `deform_conv2d` from its shapes: those of a plain convolution, sampling aside."""
    return 2 * math.prod(weight) * out_shape[0] * math.prod(out_shape[2:])


def step_flops(detector: nn.Module, height: int, width: int, passes: int = 1, backward: bool = True) -> float | None:
    """FLOPs of an image of a training step, as `Flops.step`, or of its forward passes alone.

    Other arguments and None as in `count_flops`.
    """
    flops = count_flops(detector, height, width)
    if flops is None:
        return None
    return flops.step(passes) if backward else flops.forward * passes


def cpu_rate(seconds: float = 0.2) -> float:
    """FLOP/s of a 3x3 convolution of 128 channels on this process's threads: measured, the best of some runs."""
    layer = nn.Conv2d(128, 128, 3, padding=1).to(memory_format=torch.channels_last)
    image = torch.randn(1, 128, 48, 64).contiguous(memory_format=torch.channels_last)
    flops = 2 * 9 * 128 * 128 * 48 * 64
    best, until = float("inf"), time.perf_counter() + seconds
    with torch.no_grad():
        layer(image)
        while best == float("inf") or time.perf_counter() < until:
            began = time.perf_counter()
            layer(image)
            best = min(best, time.perf_counter() - began)
    return flops / best


def gpu_rate(seconds: float = 0.2) -> float:
    """The same of a 3x3 convolution of 256 channels on the current GPU, in float32 as this process is set."""
    layer = nn.Conv2d(256, 256, 3, padding=1).cuda().to(memory_format=torch.channels_last)
    image = torch.randn(8, 256, 96, 128, device="cuda").contiguous(memory_format=torch.channels_last)
    flops = 8 * 2 * 9 * 256 * 256 * 96 * 128
    best, until = float("inf"), time.perf_counter() + seconds
    with torch.no_grad():
        layer(image)
        torch.cuda.synchronize()
        while best == float("inf") or time.perf_counter() < until:
            began = time.perf_counter()
            layer(image)
            torch.cuda.synchronize()
            best = min(best, time.perf_counter() - began)
    return flops / best
