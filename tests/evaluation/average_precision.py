"""AP computed again from matches, on the same images or on a resampling: what is stored is enough for every AP number.

Legend: T IoU thresholds, R recalls, K classes, A area ranges, as in `paa.evaluation.matches`.
"""

from __future__ import annotations

import numpy as np

from paa.evaluation.matches import AREAS, RECALLS, THRESHOLDS, Array, Matches, mean


def average_precision(matches: Matches, images: Array | None = None) -> dict[str, float | None]:
    """Return AP, AP50, AP75, APS, APM, APL in percent, None without ground truth; equal to pycocotools'.

    images  [N] int, indices into `matches.image_ids`, with repetition (a bootstrap resample); None takes each once. An
            image that occurs twice counts as two images, in the order given: that order breaks ties of score, as the
            order of image ids does in pycocotools.
    """
    return summary(precision(matches, images))


def summary(table: Array) -> dict[str, float | None]:
    """Return the six AP numbers in percent of a table [T, R, K, A] of precisions, -1 where there is no ground truth."""
    return {
        "AP": mean(table[..., 0]),
        "AP50": mean(table[0, ..., 0]),
        "AP75": mean(table[5, ..., 0]),
        "APS": mean(table[..., 1]),
        "APM": mean(table[..., 2]),
        "APL": mean(table[..., 3]),
    }


def precision(matches: Matches, images: Array | None = None) -> Array:
    """Return precision [T, R, K, A] at each recall, -1 without ground truth: COCOeval's at 100 detections.

    `images` as in `average_precision`.
    """
    total = len(matches.image_ids)
    chosen = np.arange(total) if images is None else np.asarray(images, dtype=np.int64)
    # Every copy of an image brings all of its detections: ranges of `order`, laid end to end.
    starts = np.searchsorted(matches.image, np.arange(total + 1))
    lengths = np.diff(starts)[chosen]
    before = np.cumsum(lengths) - lengths
    taken = np.repeat(starts[chosen] - before, lengths) + np.arange(lengths.sum())
    # Stable, so that equal scores stay in the order of their images: pycocotools' mergesort does the same.
    taken = taken[np.lexsort((-matches.score[taken].astype(np.float64), matches.label[taken]))]
    bounds = np.searchsorted(matches.label[taken], np.arange(matches.classes + 1))
    copies = np.bincount(chosen, minlength=total)
    counts = np.zeros((matches.classes, len(AREAS)), dtype=np.int64)
    np.add.at(counts, matches.gt_label, matches.gt_count * copies[matches.gt_image, None])

    table = np.full((len(THRESHOLDS), len(RECALLS), matches.classes, len(AREAS)), -1.0)
    for k in np.flatnonzero(counts.any(axis=1)):
        rows = taken[bounds[k] : bounds[k + 1]]
        table[:, :, k, :] = _curve(matches.true[rows], matches.ignored[rows], counts[k])
    return table


def _curve(true: Array, ignored: Array, counts: Array) -> Array:
    """Interpolated precision [T, R, A] of the detections of one class, best first; `counts` [A] ground truths."""
    out = np.zeros((len(THRESHOLDS), len(RECALLS), len(AREAS)))
    hits = np.cumsum(true, axis=0, dtype=np.float64)
    misses = np.cumsum(~true & ~ignored, axis=0, dtype=np.float64)
    precisions = hits / (misses + hits + np.spacing(1))
    precisions = np.maximum.accumulate(precisions[::-1], axis=0)[::-1]
    for a, count in enumerate(counts):
        if count == 0:
            out[:, :, a] = -1.0
            continue
        for t in range(len(THRESHOLDS)):
            at = np.searchsorted(hits[:, t, a] / count, RECALLS, side="left")
            reached = at < len(hits)
            out[t, reached, a] = precisions[at[reached], t, a]
    return out
