"""AP on many resamples of the test images at once: what a bootstrap of evaluated runs is made of.

Legend: I images, S resamples, D detections and J true positives of a class, T = 10 IoU thresholds.

A resample is told by how often it holds each image. Detections are sorted once for each class; a resample then is a
column of weights on the sorted detections, and precision, which rises at true positives alone, needs to be known there
alone: a fifth or less of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paa.datasets.rng import BOOTSTRAP, Rng
from paa.evaluation.matches import AREAS, RECALLS, THRESHOLDS, Array, Matches

METRICS = ("AP", "AP50", "AP75")
"""What is computed of each resample, with the weights of one range of areas."""

_CELLS = 200_000
"""Weights that are worked on at a time: they stay in the processor's cache."""


def draw(images: int, resamples: int, seed: int = 0) -> Array:
    """How often each of `resamples` draws of `images` images, with replacement, holds each image: [S, I] int32.

    The same arguments give the same draws on every machine.
    """
    if images < 1 or resamples < 1:
        raise ValueError(f"{resamples} resamples of {images} images: both must be at least 1")
    chosen = Rng(BOOTSTRAP, seed).indices(resamples * images, images).reshape(resamples, images)
    chosen += np.arange(resamples)[:, None] * images
    return np.bincount(chosen.ravel(), minlength=resamples * images).reshape(resamples, images).astype(np.int32)


def resampled(matches: Matches, copies: Array, area: str = "all") -> dict[str, Array]:
    """{"AP", "AP50", "AP75": [S] float64, percent} over ground truths of `area`; NaN where a resample has none.

    copies  [S, I] whole numbers: how often each resample holds each image of `matches.image_ids`; see `draw`.
    Equal to COCO evaluation of a data set in which every copy is an image of its own, but where detections of one class
    have one score: they stand in the order of the images, all copies of an image together.
    ValueError where copies do not fit.
    """
    copies = np.asarray(copies)
    if copies.ndim != 2 or copies.shape[1] != len(matches.image_ids):
        raise ValueError(f"copies has shape {copies.shape}, not (resamples, {len(matches.image_ids)})")
    a = AREAS.index(area)
    by_image = np.ascontiguousarray(copies.T, dtype=np.int32)
    total, counted = np.zeros((len(THRESHOLDS), len(copies))), np.zeros(len(copies), dtype=np.int64)
    for curve in _curves(matches, a):
        held = curve.truths(by_image)
        counted += held > 0
        step = max(1, _CELLS // max(len(curve.image), 1))
        for low in range(0, len(copies), step):
            part = slice(low, low + step)
            total[:, part] += curve.means(by_image[:, part], held[part])
    with np.errstate(invalid="ignore"):
        found = 100.0 * total / counted  # 0 / 0 is NaN: no ground truth
    return {"AP": found.mean(axis=0), "AP50": found[0], "AP75": found[5]}


@dataclass(frozen=True)
class _Curve:
    """The detections of one class, best first, and its ground truths in one range of areas.

    image    [D] their images, as far as the last true positive of any threshold.
    true     per threshold, positions [J] of the true positives.
    ignored  per threshold, [D] bool of what counts neither way, or None where nothing does.
    gt_image, gt_count  images with ground truth of the class, and how much.
    """

    image: Array
    true: tuple[Array, ...]
    ignored: tuple[Array | None, ...]
    gt_image: Array
    gt_count: Array

    def truths(self, by_image: Array) -> Array:
        """Ground truths [S] of each resample."""
        return self.gt_count @ by_image[self.gt_image]

    def means(self, by_image: Array, held: Array) -> Array:
        """Mean over recalls of the interpolated precision [T, S]; 0 where a resample has no ground truth."""
        weight = by_image[self.image]
        seen = np.cumsum(weight, axis=0, dtype=np.int32)
        rate = 1.0 / np.maximum(held, 1)
        out = np.zeros((len(self.true), by_image.shape[1]))
        for t, (true, ignored) in enumerate(zip(self.true, self.ignored, strict=True)):
            if not len(true):
                continue
            hits = np.cumsum(weight[true], axis=0, dtype=np.int32)
            among = seen if ignored is None else np.cumsum(weight * ~ignored[:, None], axis=0, dtype=np.int32)
            precision = hits / np.maximum(among[true], 1)
            precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
            reached = _recalls_up_to(hits, held, rate)
            reached[1:] -= reached[:-1].copy()
            out[t] = np.einsum("js,js->s", precision, reached)
        return np.where(held > 0, out / len(RECALLS), 0.0)


def _curves(matches: Matches, a: int) -> list[_Curve]:
    """The classes with ground truth in the area range `a`."""
    order = np.lexsort((-matches.score.astype(np.float64), matches.label))  # stable, as pycocotools' mergesort
    bounds = np.searchsorted(matches.label[order], np.arange(matches.classes + 1))
    out = []
    for k in range(matches.classes):
        mine = (matches.gt_label == k) & (matches.gt_count[:, a] > 0)
        if not mine.any():
            continue
        rows = order[bounds[k] : bounds[k + 1]]
        true, ignored = matches.true[rows, :, a], matches.ignored[rows, :, a]
        found = np.flatnonzero(true.any(axis=1))
        last = found[-1] + 1 if len(found) else 0
        out.append(
            _Curve(
                image=matches.image[rows[:last]],
                true=tuple(np.flatnonzero(column) for column in true[:last].T),
                ignored=tuple(column if column.any() else None for column in ignored[:last].T),
                gt_image=matches.gt_image[mine],
                gt_count=matches.gt_count[mine, a],
            )
        )
    return out


def _recalls_up_to(hits: Array, held: Array, rate: Array) -> Array:
    """How many of COCO's recalls are at most hits / held: [J, S] int32 for hits [J, S], held [S] and 1 / held [S].

    The comparison is COCO's own, hits / held against the floats of RECALLS, wherever the two can be equal.
    """
    below = (hits * (100.0 * rate) + 1e-7).astype(np.int32)
    return below + (hits / np.maximum(held, 1) >= RECALLS[np.minimum(below, 100)])
