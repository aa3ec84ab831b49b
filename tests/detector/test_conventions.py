"""The input follows the weights; every disagreement is refused with what would be right."""

from __future__ import annotations

import pytest

from paa.checks import OutOfRange
from paa.detector.conventions import agreed


@pytest.mark.parametrize(
    ("convention", "expects", "source", "stated", "found"),
    [
        ("auto", "weights", None, None, "torchvision"),
        ("auto", "caffe", None, None, "caffe"),
        ("auto", "torchvision", None, None, "torchvision"),
        ("torchvision", "caffe", None, None, "torchvision"),  # from scratch nothing can contradict; the key wins
        ("auto", "weights", "torchvision", "torchvision", "torchvision"),
        ("auto", "torchvision", "torchvision", "torchvision", "torchvision"),
        ("auto", "weights", "r50.pth", None, "torchvision"),
        ("auto", "weights", "r50.pth", "caffe", "caffe"),
        ("auto", "caffe", "r50.pth", "caffe", "caffe"),
        ("caffe", "caffe", "r50.pth", None, "caffe"),
        ("caffe", "weights", "r50.pth", None, "caffe"),
    ],
)
def test_agreement(convention: str, expects: str, source: str | None, stated: str | None, found: str) -> None:
    assert agreed(convention, expects, source, stated) == found


@pytest.mark.parametrize(
    ("convention", "expects", "source", "stated", "message"),
    [
        (
            "auto",
            "caffe",
            "torchvision",
            "torchvision",
            "expects=caffe: torchvision's weights want RGB in [0, 1], not BGR in [0, 255]; give weights of caffe's "
            "convention (weights=FILE), or take the input that they want: compat.input=weights",
        ),
        (
            "auto",
            "caffe",
            "r50.pth",
            None,
            "expects=caffe: the weights of r50.pth want RGB in [0, 1], not BGR in [0, 255]; if they are caffe's, set "
            "convention=caffe, or take the input that they want: compat.input=weights",
        ),
        (
            "auto",
            "torchvision",
            "r50.pth",
            "caffe",
            "expects=torchvision: the weights of r50.pth want BGR in [0, 255], not RGB in [0, 1]; give weights of "
            "torchvision's convention (weights=FILE), or take the input that they want: compat.input=weights",
        ),
        (
            "caffe",
            "weights",
            "torchvision",
            "torchvision",
            "convention=caffe: torchvision's weights need convention=torchvision",
        ),
        (
            "torchvision",
            "weights",
            "r50.pth",
            "caffe",
            "convention=torchvision: the weights of r50.pth need convention=caffe",
        ),
        ("rgb", "weights", None, None, "convention=rgb: must be one of auto, torchvision, caffe"),
        ("auto", "rgb", None, None, "expects=rgb: must be one of weights, torchvision, caffe"),
    ],
)
def test_contradictions(convention: str, expects: str, source: str | None, stated: str | None, message: str) -> None:
    with pytest.raises(OutOfRange) as caught:
        agreed(convention, expects, source, stated)
    assert str(caught.value) == message
