"""Interpolation against PIL, and against what OpenCV itself made of the same pixels."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from paa.datasets.resize import INTERPOLATIONS, resize_image


def noise(height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype(np.uint8))


def pixels(image: Image.Image, size: tuple[int, int], interpolation: str) -> np.ndarray:
    out = resize_image(image, *size, interpolation)
    assert (out.dtype, tuple(out.shape)) == (torch.uint8, (3, *size))
    return out.permute(1, 2, 0).contiguous().numpy()


# SHA-256, its first 16 digits, of what cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) of OpenCV 4.14.0 gave
# for `noise`: [height, width, 3] uint8, row-major.
OPENCV = [
    ((48, 64), (30, 40), "889a4399e9e35938"),
    ((30, 40), (48, 64), "f6711b18b0855bc1"),
    ((50, 60), (100, 120), "d426bc09040aacf0"),
    ((100, 120), (50, 60), "f404f43d8291877e"),
    ((33, 47), (33, 90), "f7c9672ffc60b5a4"),
    ((375, 500), (600, 800), "bb696f5a4e125d8e"),
    ((7, 5), (3, 11), "76e49b1b2d7811d0"),
    ((2, 3), (9, 1), "ac23ad393f9db1b3"),
]


@pytest.mark.parametrize(("size", "target", "digest"), OPENCV)
def test_bit_by_bit_as_opencv(size, target, digest):
    out = pixels(noise(*size), target, "cv2")
    assert hashlib.sha256(out.tobytes()).hexdigest()[:16] == digest


def test_in_floats_it_is_at_most_a_level_off():
    image = noise(48, 64)
    for size in ((30, 40), (96, 100)):
        fixed, floats = (pixels(image, size, how).astype(int) for how in ("cv2", "plain"))
        assert np.abs(fixed - floats).max() == 1


def test_pil_averages_and_opencv_does_not():
    image = noise(48, 64)
    expected = np.asarray(image.resize((20, 15), Image.Resampling.BILINEAR))
    assert np.array_equal(pixels(image, (15, 20), "pil"), expected)
    assert expected.std() < 0.8 * pixels(image, (15, 20), "cv2").std()


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_an_image_of_the_right_size_stays(interpolation):
    image = noise(9, 7)
    assert np.array_equal(pixels(image, (9, 7), interpolation), np.asarray(image))
