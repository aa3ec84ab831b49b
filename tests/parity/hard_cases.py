"""Batches on which another implementation fails and ours must not."""

from __future__ import annotations

import numpy as np
from literal_assign import Image, grid
from literal_boxes import Array, encode
from literal_rules import MMDET

PADDED = (128, 128)
GT = np.array([[40, 40, 80, 90]], np.float32)


def _image(logits: Array, deltas: Array) -> Image:
    anchors = len(grid(MMDET, PADDED)[0])
    return Image(PADDED, PADDED, GT, [0], logits.astype(np.float32), deltas.astype(np.float32), np.zeros(anchors, "f"))


def equal_scores() -> Image:
    """Every anchor of MMDetection's grid predicts the same box with the same logits: all candidates score alike, 7.2.

    In float32 the mean of squares less the square of the mean is then below minus the 1e-6 that is added to it, and
    scikit-learn, given float32, refuses the negative variance.
    """
    anchors = grid(MMDET, PADDED)[0]
    box = np.repeat(np.array([[68, 45, 100, 100]], np.float32), len(anchors), 0)
    return _image(np.full((len(anchors), 3), -22.1), encode(MMDET, box, anchors))


def boxes_off_the_image() -> Image:
    """The anchors along an edge predict boxes beyond it, which have no area once they are clipped."""
    anchors = grid(MMDET, PADDED)[0]
    deltas = np.random.default_rng(0).normal(0, 0.3, (len(anchors), 4))
    deltas[:16, 1] = -20
    logits = np.full((len(anchors), 3), -6.0)
    logits[:32, 1] = np.linspace(1, 3, 32)
    return _image(logits, deltas)


def a_logit_of_minus_infinity() -> Image:
    """One logit has overflowed, of a class that its anchor is not to learn."""
    anchors = grid(MMDET, PADDED)[0]
    logits = np.full((len(anchors), 3), -4.6)
    logits[7, 2] = -np.inf
    return _image(logits, np.zeros((len(anchors), 4)))
