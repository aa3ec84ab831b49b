"""From a stored image to the network's input: resize, mirror, normalize; and padding when a batch is put together.

The three size rules differ by a pixel, the interpolations by a level of gray, which is enough to move the last digits
of a published number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from paa import checks
from paa.datasets.resize import INTERPOLATIONS, resize_image
from paa.datasets.rng import Rng

RESIZES = ("round", "truncate", "half_up")
CHANNELS = ("rgb", "bgr")


def target_size(height: int, width: int, short: int, longest: int | None, rule: str) -> tuple[int, int]:
    """(height, width) after resizing to a short side of `short` pixels, or a longest side of `longest` if that binds.

    round     the exact scale, each side to the nearest pixel, halves up.
    truncate  authors' code: the short side is an integer (rounded where `longest` binds), the other side truncated.
    half_up   MMDetection: each side times a float scale, plus 0.5, truncated.
    """
    small, large = min(height, width), max(height, width)
    if rule == "round":
        scale = Fraction(short, small)
        if longest is not None:
            scale = min(scale, Fraction(longest, large))
        return (max(math.floor(height * scale + Fraction(1, 2)), 1), max(math.floor(width * scale + Fraction(1, 2)), 1))
    if rule == "truncate":
        if longest is not None and large / small * short > longest:
            short = max(round(longest * small / large), 1)
        if small == short:
            return height, width
        other = int(short * large / small)
        return (other, short) if width < height else (short, other)
    factor = short / small if longest is None else min(longest / large, short / small)
    return max(int(height * factor + 0.5), 1), max(int(width * factor + 0.5), 1)


class Transform:
    """Prepares one image and its boxes.

    short     length of the short side in pixels after resizing; None: images stay as they are. Two numbers [low, high]
              are a range from which each image draws an integer, both ends included; three or more are a choice.
    longest   the longer side is never above this; None: no bound.
    resize    "round" | "truncate" | "half_up", see `target_size`.
    interpolation  "pil" | "cv2" | "plain", see `resize_image`; None: "plain" for "half_up", else "pil".
    flip      probability of a mirror image.
    legacy    mirror at W - 1 - x instead of W - x (the +1 box arithmetic).
    mean, std per channel, in units of `scale`, in the order of `channels` ("rgb" | "bgr").
    scale     what white is: 1 or 255.
    Out-of-range arguments raise checks.OutOfRange.
    """

    def __init__(
        self,
        short: int | Sequence[int] | None = None,
        longest: int | None = None,
        resize: str = "round",
        flip: float = 0.5,
        legacy: bool = False,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        channels: str = "rgb",
        scale: float = 1,
        interpolation: str | None = None,
    ) -> None:
        self.shorts = _sides(short)
        self.longest = None if longest is None else checks.integer("longest", longest, low=1)
        if self.longest is not None and not self.shorts:
            raise checks.OutOfRange("longest", f"={longest} without short: give short as well, or neither")
        if self.longest is not None and max(self.shorts) > self.longest:
            raise checks.OutOfRange("longest", f"={longest} is below short={max(self.shorts)}")
        self.resize = checks.choice("resize", resize, RESIZES)
        if interpolation is None:
            interpolation = "plain" if resize == "half_up" else "pil"
        self.interpolation = checks.choice("interpolation", interpolation, INTERPOLATIONS)
        self.flip = checks.number("flip", flip, low=0, high=1)
        self.legacy = checks.flag("legacy", legacy)
        self.channels = checks.choice("channels", channels, CHANNELS)
        self.scale = checks.choice("scale", scale, (1, 255))
        self.mean = (_three("mean", mean) * (255 / scale)).float()
        self.std = (_three("std", std) * (255 / scale)).float()
        if not (self.std > 0).all():
            raise checks.OutOfRange("std", f"={list(std)}: must be three numbers above 0")

    def __call__(self, image: Image.Image, boxes: Tensor, rng: Rng | None = None) -> tuple[Tensor, Tensor]:
        """Return input [3, h, w] float32 and boxes [G, 4] of an RGB image and its boxes (xyxy, pixels of `image`).

        draws decides size and mirror; None is for test time: never mirrored, and of several short sides the largest.
        """
        width, height = image.size
        size = self.size(height, width, rng)
        pixels = resize_image(image, *size, self.interpolation)
        if size != (height, width):
            factors = [size[1] / width, size[0] / height]
            boxes = torch.stack([boxes[:, i] * factors[i % 2] for i in range(4)], dim=1)
        if rng is not None and rng.randbelow(1 << 32) < self.flip * (1 << 32):
            pixels = F.horizontal_flip(pixels)
            edge = size[1] - 1 if self.legacy else size[1]
            boxes = torch.stack([edge - boxes[:, 2], boxes[:, 1], edge - boxes[:, 0], boxes[:, 3]], dim=1)
        if self.channels == "bgr":
            pixels = pixels.flip(0)
        return pixels.float().sub_(self.mean).div_(self.std), boxes

    def size(self, height: int, width: int, rng: Rng | None = None) -> tuple[int, int]:
        """Return (height, width) that an image of these pixels is resized to, from the first of its random numbers."""
        if not self.shorts:
            return height, width
        short = max(self.shorts) if rng is None or len(self.shorts) == 1 else rng.choice(self.shorts)
        return target_size(height, width, short, self.longest, self.resize)


def pad(images: Sequence[Tensor], divisor: int = 32, room: tuple[int, int] = (1, 1)) -> Tensor:
    """[B, 3, H, W]: the images [3, h, w] in the upper left corners, zeros elsewhere; H, W the least multiples of
    `divisor` that hold them all, and `room` (height, width). Images are normalized before, so that padding is zero for
    the network.
    """
    height, width = (
        -(-max(least, *(image.shape[d] for image in images)) // divisor) * divisor for d, least in enumerate(room, 1)
    )
    if all(image.shape[1:] == (height, width) for image in images):
        return torch.stack(list(images))
    batch = torch.zeros(len(images), 3, height, width)
    for place, image in zip(batch, images, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = image
    return batch


def _sides(short: int | Sequence[int] | None) -> tuple[int, ...]:
    if short is None:
        return ()
    if isinstance(short, int):
        return (checks.integer("short", short, low=1),)
    what = "an integer from 1, a range [low, high] or a list of three or more"
    sides = tuple(checks.integer("short", side, low=1) for side in checks.sequence("short", short, what))
    if not sides:
        raise checks.OutOfRange("short", f"=[]: must be {what}")
    if len(sides) == 2:
        if sides[0] > sides[1]:
            raise checks.OutOfRange("short", f"={list(sides)}: a range is [low, high] with low <= high")
        return tuple(range(sides[0], sides[1] + 1))
    return sides


def _three(name: str, values: Sequence[float]) -> Tensor:
    three = checks.sequence(name, values, "three numbers, one a channel", length=3)
    return torch.tensor([checks.number(name, value) for value in three], dtype=torch.float64).view(3, 1, 1)
