"""Resize an image by bilinear interpolation of its's pixels, as published numbers were made."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

INTERPOLATIONS = ("pil", "cv2", "plain")

_ONE = 2048  # OpenCV's weights are whole numbers of 1 / 2048 (INTER_RESIZE_COEF_BITS)


def resize_image(image: Image.Image, height: int, width: int, interpolation: str) -> Tensor:
    """An RGB image as whole numbers 0 ... 255 [3, height, width] uint8.

    pil    PIL's bilinear filter, which averages when it shrinks (authors' code).
    cv2    OpenCV's INTER_LINEAR, which does not, in its fixed-point arithmetic: bit by bit the same (MMDetection).
    plain  as cv2, but in floats: one level off in about a tenth of the pixels of noise.
    """
    if (image.height, image.width) == (height, width):
        return F.pil_to_tensor(image)
    if interpolation == "pil":
        return F.pil_to_tensor(F.resize(image, [height, width], InterpolationMode.BILINEAR))
    if interpolation == "cv2":
        return torch.from_numpy(fixed_point(np.asarray(image), height, width)).permute(2, 0, 1)
    floats = F.pil_to_tensor(image).float()
    whole = F.resize(floats, [height, width], InterpolationMode.BILINEAR, antialias=False).round_()
    return whole.to(torch.uint8)


def fixed_point(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels [h, w, C] uint8 at another size [height, width, C], as OpenCV's `resize` with INTER_LINEAR has them.

    Columns first, with 11 bits of weights, then rows, each product cut to 16 bits before the sum (OpenCV, resize.cpp,
    `HResizeLinear` and `VResizeLinear<uchar, int, short>`).
    """
    left, right, to_left, to_right = _taps(pixels.shape[1], width)
    beyond = (left < 0) | (left >= pixels.shape[1] - 1)  # beyond the first or last column only its value counts
    to_left, to_right = np.where(beyond, _ONE, to_left), np.where(beyond, 0, to_right)
    left, right = (np.clip(column, 0, pixels.shape[1] - 1) for column in (left, right))
    above, below, to_above, to_below = _taps(pixels.shape[0], height)
    above, below = (np.clip(row, 0, pixels.shape[0] - 1) for row in (above, below))

    whole = pixels.astype(np.int32)
    rows = (whole[:, left] * to_left[:, None] + whole[:, right] * to_right[:, None]) >> 4
    first, second = rows[above] * to_above[:, None, None] >> 16, rows[below] * to_below[:, None, None] >> 16
    return ((first + second + 2) >> 2).astype(np.uint8)


def _taps(size: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each of `target` places along a side of `size`: the two neighbors, and their weights, int32 in 1 / 2048."""
    place = ((np.arange(target) + 0.5) * (size / target) - 0.5).astype(np.float32)
    first = np.floor(place)
    part = place - first
    weights = (np.rint(share * np.float32(_ONE)).astype(np.int32) for share in (1 - part, part))
    return first.astype(np.int64), first.astype(np.int64) + 1, *weights
