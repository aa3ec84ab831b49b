"""Pair two lists of detections independent of their order."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
SCORE = 1e-6
"""Largest difference of the two scores of a detection."""


def paired(boxes: Array, scores: Array, labels: Array, others: tuple[Array, Array, Array]) -> Array:
    """Return for each detection the nearest other of the same label and (up to rounding) score: index [D], or -1.

    None is taken twice. Boxes [D, 4], distances by their largest coordinate.
    """
    left, found = np.ones(len(others[0]), bool), np.full(len(boxes), -1)
    for i, (box, score, label) in enumerate(zip(boxes, scores, labels, strict=True)):
        fits = np.flatnonzero(left & (others[2] == label) & (np.abs(others[1] - score) <= SCORE))
        if len(fits):
            found[i] = fits[np.abs(others[0][fits] - box).max(1).argmin()]
            left[found[i]] = False
    return found
