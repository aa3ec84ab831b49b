"""Images on which another implementation fails, and images for cases that random ones rarely contain."""

from __future__ import annotations

import numpy as np
from literal_assign import Image, grid
from literal_boxes import Array, encode
from literal_rules import MMDET

PADDED = (128, 128)
GT = np.array([[40, 40, 80, 90]], np.float32)


def _image(logits: Array, deltas: Array, gts: Array = GT) -> Image:
    quality, labels = np.zeros(len(deltas), np.float32), list(range(len(gts)))
    return Image(PADDED, PADDED, gts, labels, logits.astype(np.float32), deltas.astype(np.float32), quality)


def _normal(seed: int) -> tuple[Array, Array]:
    """Return random logits of three classes and random deltas, as of an untrained network."""
    anchors, draw = len(grid(MMDET, PADDED)[0]), np.random.default_rng(seed)
    return draw.normal(-3, 1, (anchors, 3)), draw.normal(0, 1, (anchors, 4))


def equal_scores() -> Image:
    """Every anchor of MMDetection's grid predicts the same box with the same logits: all candidates score 7.2.

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
    """One logit has overflowed, of a class that is not the anchor's target."""
    anchors = grid(MMDET, PADDED)[0]
    logits = np.full((len(anchors), 3), -4.6)
    logits[7, 2] = -np.inf
    return _image(logits, np.zeros((len(anchors), 4)))


def a_ground_truth_that_no_anchor_overlaps() -> Image:
    """It ties with all anchors at 0 and takes them all, but for the best ones of the GT that comes after it."""
    gts = np.array([[40, 40, 80, 90], [40, 60, 40, 90], [30, 8, 100, 60]], np.float32)
    return _image(*_normal(1), gts)


def boxes_that_overlap_nothing() -> Image:
    """Every predicted box is far from its GT: all IoU targets are 0, and so is their sum."""
    logits, deltas = _normal(2)
    deltas[:, :2] += 300
    return _image(logits, deltas)


def specks() -> Image:
    """The deltas ask for sides of e^-10 of the anchors', which is beyond the clamp, and the GT is one pixel large."""
    logits, _ = _normal(3)
    anchors = grid(MMDET, PADDED)[0]
    size = anchors[:, 2:] - anchors[:, :2]
    deltas = np.full((len(anchors), 4), -50.0)
    deltas[:, :2] = 10 * (64 - (anchors[:, :2] + size / 2)) / size
    return _image(logits, deltas, np.array([[63.5, 63.5, 64.5, 64.5]], np.float32))


def scores_that_tie() -> Image:
    """More than a hundred detections of one score."""
    logits, deltas = _normal(4)
    logits[::2] = 0
    return _image(logits, deltas)


COMPARED = (
    a_ground_truth_that_no_anchor_overlaps,
    boxes_that_overlap_nothing,
    specks,
    scores_that_tie,
    boxes_off_the_image,
)
"""The cases whose MMDetection outputs are stored."""
