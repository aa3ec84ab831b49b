"""Estimate what the trainings of the paper cost, from the FLOPs of their networks.

FLOPs are those of the convolutions of the network that each command builds, at its training and test sizes, for an
image of 480 x 640 pixels, the most frequent size in COCO; a multiplication counts as two FLOPs. GPU hours are these
FLOPs divided by the assumed rate of a GPU. Assignment, losses, NMS, reading images and waiting are not included.
Grouped and deformable convolutions use a GPU less well than plain ones: rows with X or DCN may take longer.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from typing import Any

import torch
import torchvision  # noqa: F401  registers deform_conv2d
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from paa.config.compose import Composer, resolved
from paa.datasets.transforms import Transform, target_size
from paa.experiment.parts import assemble
from paa.store.text_table import FORMATS, written

TFLOPS = 6.0
"""Assumed rate, 1e12 FLOP/s: a V100 in FP32. MMDetection reports 50.76 ms per image for ATSS (the same network) with
ResNet-50 and 81.3 ms with ResNet-101 (configs/atss/metafile.yml), which is 6.9 and 5.9."""

ROWS = (
    ("coco_1x", "resnet50"),
    ("coco_1.5x", "resnet50"),
    ("coco_2x", "resnet50"),
    ("coco_2x", "resnet101"),
    ("coco_2x", "resnet101_dcn"),
    ("coco_2x", "resnext101_64x4d"),
    ("coco_2x", "resnext101_32x8d_dcn"),
    ("coco_2x", "resnext101_64x4d_dcn"),
    ("coco_2x", "resnext152_32x8d_dcn"),
)
"""Recipe and backbone of each training."""

STORED = (480, 640)

VAL, TEST_DEV = 5000, 20288
"""Images of COCO's val2017 and test-dev2017."""

HEAD = [
    *("recipe", "backbone", "parameters, M", "GFLOP, tested image", "GFLOP, trained image", "images, M"),
    *("training, h", "val, h", "val at all scales, h", "test-dev at all scales, h"),
]

DIGITS = {name: 1 for name in HEAD if name.endswith((", h", "parameters, M"))} | {"training, h": 0, "images, M": 2}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tflops", type=float, default=TFLOPS, metavar="N", help=f"1e12 FLOP/s of a GPU ({TFLOPS:g})")
    parser.add_argument("--format", choices=FORMATS, default="text", help="output format (text)")
    options = parser.parse_args(arguments)
    if not options.tflops > 0:
        parser.error(f"--tflops {options.tflops:g}: must be a number above 0")
    rows = table(options.tflops)
    title = f"Hours of a GPU at {options.tflops:g} TFLOP/s, an estimate from counted FLOPs."
    sys.stdout.write(written(options.format, HEAD, rows, DIGITS, title))
    return 0


def table(tflops: float) -> list[list[Any]]:
    """Return a row of values, in the order of HEAD, for each training."""
    compose = Composer()
    return [row(compose, recipe, backbone, tflops) for recipe, backbone in ROWS]


def row(compose: Composer, recipe: str, backbone: str, tflops: float) -> list[Any]:
    """Return the costs of one training and its tests."""
    # The network is on the meta device; neither the data nor the weights are opened.
    words = [f"recipe={recipe}", f"backbone={backbone}", "data.root=COCO", "postprocess.multiscale=official"]
    words += ["backbone.weights=WEIGHTS"] if backbone.startswith("resnext152") else []
    parts = assemble(resolved(compose.compose(words)))
    with torch.device("meta"):
        detector = parts.detector(80)
    training, *tests = parts.train_transform(detector.backbone), *parts.scale_transforms(detector.backbone)
    largest = training.size(*STORED)
    test, step = (flops / padded(largest) for flops in count_flops(detector, *largest))  # per pixel
    single, many = test * pixels(tests[0]), 2 * test * sum(pixels(transform) for transform in tests)
    image = step * pixels(training)
    images = parts.schedule.steps * parts.config["train"]["batch_size"]
    hour = 3600 * tflops * 1e12
    return [
        *(recipe, backbone, round(parameters(detector) / 1e6, 1), round(single / 1e9), round(image / 1e9)),
        *(round(images / 1e6, 2), round(images * image / hour)),
        *(round(n * flop / hour, 1) for n, flop in ((VAL, single), (VAL, many), (TEST_DEV, many))),
    ]


def count_flops(detector: nn.Module, height: int, width: int) -> tuple[float, float]:
    """Return the FLOPs of one image through the network, and of one image of a training step.

    detector  on the meta device, so that nothing is computed; the sides are rounded up to multiples of 32.
    """
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.torchvision.deform_conv2d: _deformable})
    with counter, torch.no_grad():
        detector(torch.empty(1, 3, -(-height // 32) * 32, -(-width // 32) * 32, device="meta"))
    counts, frozen = counter.get_flop_counts(), 0
    for path, module in detector.named_modules():
        own = list(module.parameters(recurse=False))
        if own and not any(p.requires_grad for p in own):
            frozen += sum(counts.get(f"{type(detector).__name__}.{path}", {}).values())
    forward = counter.get_total_flops()
    # Backward costs a forward pass for the gradient of the maps and another for that of the weights.
    return forward, forward + 2 * (forward - frozen)


def _deformable(x: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any) -> int:
    """FLOPs of `deform_conv2d` from its shapes: those of a plain convolution, without the sampling."""
    return 2 * math.prod(weight) * out_shape[0] * math.prod(out_shape[2:])


def parameters(detector: nn.Module) -> int:
    """Count parameters, including the scale and shift of a frozen BatchNorm."""
    frozen = sum(b.numel() for n, b in detector.named_buffers() if n.endswith((".weight", ".bias")))
    return frozen + sum(p.numel() for p in detector.parameters())


def pixels(transform: Transform) -> float:
    """Return the pixels of an image with its padding; their mean for several short sides."""
    sizes = [target_size(*STORED, short, transform.longest, transform.resize) for short in transform.shorts]
    return sum(map(padded, sizes)) / len(sizes)


def padded(size: tuple[int, int]) -> int:
    """Return the pixels of an image of (h, w) padded to multiples of 32."""
    height, width = (-(-side // 32) * 32 for side in size)
    return height * width


if __name__ == "__main__":
    sys.exit(main())
