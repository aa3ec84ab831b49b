"""Prints what the trainings of the paper cost, from counted FLOPs: an estimate.

python analysis/cost.py [--tflops 6] [--format text|md|csv]

FLOPs are those of the convolutions of the network that each command builds, at the sizes that it trains and tests with,
for an image of 480 x 640 pixels, COCO's most frequent size; two FLOPs a multiplication. GPU hours are these FLOPs
divided by the rate that a GPU is assumed to reach. Everything else (assignment, losses, NMS, reading images, waiting
for one another) is left out, and grouped and deformable convolutions reach less of a GPU than plain ones: rows with an
X or DCN are likelier to take longer.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from paa.config.compose import Composer, composer, resolved
from paa.datasets.transforms import Transform, target_size
from paa.engine.effort import count_flops
from paa.experiment.parts import assemble
from paa.store.text_table import FORMATS, written

TFLOPS = 6.0
"""Assumed rate, 1e12 FLOP/s: a V100 in FP32. MMDetection gives 50.76 ms an image for ATSS, which is this network, with
ResNet-50 and 81.3 ms with ResNet-101 (configs/atss/metafile.yml); their FLOPs in that time are 6.9 and 5.9."""

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
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python analysis/cost.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tflops", type=float, default=TFLOPS, metavar="N", help="rate of a GPU, 1e12 FLOP/s")
    parser.add_argument("--format", choices=FORMATS, default="text", help="(default: text)")
    options = parser.parse_args(arguments)
    if not options.tflops > 0:
        parser.error(f"--tflops {options.tflops:g}: must be a number above 0")
    rows = table(options.tflops)
    title = f"Hours of a GPU at {options.tflops:g} TFLOP/s, an estimate from counted FLOPs."
    sys.stdout.write(written(options.format, HEAD, rows, DIGITS, title))
    return 0


def table(tflops: float) -> list[list[Any]]:
    """A row of values, in the order of HEAD, for each training."""
    with composer() as compose:
        return [row(compose, recipe, backbone, tflops) for recipe, backbone in ROWS]


def row(compose: Composer, recipe: str, backbone: str, tflops: float) -> list[Any]:
    """What one training and its tests cost."""
    # Neither is opened: the network is on the meta device.
    words = [f"recipe={recipe}", f"backbone={backbone}", "data.root=COCO", "postprocess.multiscale=official"]
    words += ["backbone.weights=WEIGHTS"] if backbone.startswith("resnext152") else []
    parts = assemble(resolved(compose.compose(words)))
    with torch.device("meta"):
        detector = parts.detector(80)
    training, *tests = parts.train_transform(detector.backbone), *parts.scale_transforms(detector.backbone)
    largest = training.size(*STORED)
    flops = count_flops(detector, *largest)
    assert flops is not None
    test, step = (value / padded(largest) for value in (flops.forward, flops.step()))  # of a pixel
    single, many = test * pixels(tests[0]), 2 * test * sum(pixels(transform) for transform in tests)
    image = step * pixels(training)
    images = parts.schedule.steps * parts.config["train"]["batch_size"]
    hour = 3600 * tflops * 1e12
    return [
        *(recipe, backbone, round(parameters(detector) / 1e6, 1), round(single / 1e9), round(image / 1e9)),
        *(round(images / 1e6, 2), round(images * image / hour)),
        *(round(n * flop / hour, 1) for n, flop in ((VAL, single), (VAL, many), (TEST_DEV, many))),
    ]


def parameters(detector: nn.Module) -> int:
    """Parameters, and the scale and shift of a frozen BatchNorm, which are none."""
    frozen = sum(b.numel() for n, b in detector.named_buffers() if n.endswith((".weight", ".bias")))
    return frozen + sum(p.numel() for p in detector.parameters())


def pixels(transform: Transform) -> float:
    """Pixels of an image, padding and all; of several short sides, their mean."""
    sizes = [target_size(*STORED, short, transform.longest, transform.resize) for short in transform.shorts]
    return sum(map(padded, sizes)) / len(sizes)


def padded(size: tuple[int, int]) -> int:
    """Pixels of an image of (h, w) with its padding to multiples of 32."""
    height, width = (-(-side // 32) * 32 for side in size)
    return height * width


if __name__ == "__main__":
    sys.exit(main())
