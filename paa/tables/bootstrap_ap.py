"""AP on many resamples of the test images together, as a bootstrap needs it.

Legend: I images, S resamples, D detections and J true positives of a class, T = 10 IoU thresholds.

A resample is given by how often it contains each image. Detections are sorted once for each class; a resample is then
a column of weights on the sorted detections. Precision rises only at true positives, so it is computed only there: at
a fifth of the rows or less.
"""

from __future__ import annotations

import numpy as np

from paa.datasets.rng import BOOTSTRAP, Rng
from paa.evaluation.matches import AREAS, RECALLS, THRESHOLDS, Array, Matches


def draw(images: int, resamples: int, seed: int = 0) -> Array:
    """Draw `resamples` times `images` images with replacement; return how often each is drawn: [S, I] int32.

    The same arguments give the same result on every machine.
    """
    chosen = Rng(BOOTSTRAP, seed).indices(resamples * images, images).reshape(resamples, images)
    chosen += np.arange(resamples)[:, None] * images
    return np.bincount(chosen.ravel(), minlength=resamples * images).reshape(resamples, images).astype(np.int32)


def resampled(matches: Matches, copies: Array, cells: int = 200_000) -> dict[str, Array]:
    """Return {"AP", "AP50", "AP75": [S] float64, percent}; NaN for a resample without ground truth.

    copies  [S, I] integers: how often each resample contains each image of `matches.image_ids`; see `draw`.
    cells   weights processed together: few enough to stay in the processor's cache.
    Equal to COCO evaluation of a data set in which every copy is a separate image, except for equal scores within a
    class: these detections are ordered by image, all copies of an image together.
    """
    by_image = np.ascontiguousarray(copies.T, dtype=np.int32)
    total, counted = np.zeros((len(THRESHOLDS), len(copies))), np.zeros(len(copies), dtype=np.int64)
    every = AREAS.index("all")
    order = np.lexsort((-matches.score.astype(np.float64), matches.label))  # stable, as pycocotools' mergesort
    bounds = np.searchsorted(matches.label[order], np.arange(matches.classes + 1))
    for k in range(matches.classes):
        mine = (matches.gt_label == k) & (matches.gt_count[:, every] > 0)
        if not mine.any():
            continue
        rows = order[bounds[k] : bounds[k + 1]]
        true = matches.true[rows, :, every]
        last = np.flatnonzero(true.any(axis=1)).max(initial=-1) + 1  # what is below the last true positive is unused
        ignored, image = matches.ignored[rows[:last], :, every], matches.image[rows[:last]]
        held = matches.gt_count[mine, every] @ by_image[matches.gt_image[mine]]
        counted += held > 0
        step = max(1, cells // max(last, 1))
        for low in range(0, len(copies), step):
            part = slice(low, low + step)
            total[:, part] += _mean_precision(by_image[image, part], true[:last], ignored, held[part])
    with np.errstate(invalid="ignore"):
        found = 100.0 * total / counted  # 0 / 0 is NaN: no ground truth
    return {"AP": found.mean(axis=0), "AP50": found[0], "AP75": found[5]}


def _mean_precision(weight: Array, true: Array, ignored: Array, held: Array) -> Array:
    """Average the interpolated precision of a class over recalls: [T, S]; 0 for a resample without ground truth.

    weight         [D, S] how often each resample contains the image of each detection, best detection first.
    true, ignored  [D, T] bool, true positives and detections that are not counted.
    held           [S] ground truths of each resample.
    """
    seen = np.cumsum(weight, axis=0, dtype=np.int32)
    rate = 1.0 / np.maximum(held, 1)
    out = np.zeros((true.shape[1], len(held)))
    for t in range(len(out)):
        at = np.flatnonzero(true[:, t])
        if not len(at):
            continue
        hits = np.cumsum(weight[at], axis=0, dtype=np.int32)
        among = seen
        if ignored[:, t].any():
            among = np.cumsum(weight * ~ignored[:, t, None], axis=0, dtype=np.int32)
        precision = hits / np.maximum(among[at], 1)
        precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        reached = _recalls_up_to(hits, held, rate)
        reached[1:] -= reached[:-1].copy()
        out[t] = np.einsum("js,js->s", precision, reached)
    return np.where(held > 0, out / len(RECALLS), 0.0)


def _recalls_up_to(hits: Array, held: Array, rate: Array) -> Array:
    """How many of COCO's recalls are at most hits / held: [J, S] int32 for hits [J, S], held [S] and 1 / held [S].

    Wherever the two can be equal, the comparison is COCO's: hits / held against the floats of RECALLS.
    """
    below = (hits * (100.0 * rate) + 1e-7).astype(np.int32)
    return below + (hits / np.maximum(held, 1) >= RECALLS[np.minimum(below, 100)])
