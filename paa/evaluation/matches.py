"""What became of each detection, and AP of it again: on the same images or on any resampling of them.

Legend: I images, K classes, D detections, P pairs of image and class with ground truth, T = 10 IoU thresholds
(0.5, 0.55, ... 0.95), A = 4 ranges of ground-truth area (all, small, medium, large), R = 101 recalls.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paa import files

Array = np.ndarray[Any, Any]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""[T] IoU thresholds of COCO."""

AREAS = ("all", "small", "medium", "large")
"""Ranges of ground-truth area: any, below 32^2, 32^2 to 96^2, above 96^2 pixels of the original image."""

RECALLS = np.linspace(0.0, 1.0, 101)
"""[R] recalls at which COCO samples precision."""


@dataclass(frozen=True)
class Matches:
    """Detections of an evaluation as pycocotools matched them, the most confident 100 of each image and class.

    image_ids  [I] int64, ascending: all evaluated images, in pycocotools' order.
    classes    K.
    image      [D] int64, index into image_ids; detections stand by image, then class, then falling score.
    label      [D] int64, class from 0.
    score      [D] float, exactly as ranked.
    true       [D, T, A] bool, a true positive; ignored [D, T, A] bool, counts neither way; else a false positive.
    gt_image   [P], gt_label [P] int64 and gt_count [P, A] int64: ground truths that count (not crowds, in range).
    predicted  [D] float32, predicted IoU of the detections that are true at IoU 0.5 in all areas, NaN of others.
    iou        [D] float32, their true IoU with the matched ground truth, NaN of others.
    """

    image_ids: Array
    classes: int
    image: Array
    label: Array
    score: Array
    true: Array
    ignored: Array
    gt_image: Array
    gt_label: Array
    gt_count: Array
    predicted: Array
    iou: Array

    def __len__(self) -> int:
        return len(self.score)

    def save(self, path: Path) -> None:
        """Writes a compact .npz, whole or not at all; equal matches give equal bytes."""
        files.write_bytes(path, files.npz_bytes(self.arrays()))

    def arrays(self) -> dict[str, Array]:
        """The compact arrays that are stored.

        Scores are stored as float32 where that is exact (it is for whatever came out of a float32 network), so that no
        two scores ever trade places or tie. The 40 bits of a detection are packed into 5 bytes, bit planes first:
        one threshold's bits of neighboring detections compress better than one detection's.
        """
        single = self.score.astype(np.float32)
        exact = np.array_equal(single.astype(np.float64), self.score.astype(np.float64))
        found, planes = self.true[:, 0, 0], len(THRESHOLDS) * len(AREAS)
        return {
            "image_ids": self.image_ids.astype(np.int64),
            "classes": np.array(self.classes, dtype=np.int64),
            "per_image": np.bincount(self.image, minlength=len(self.image_ids)).astype(np.uint32),
            "label": self.label.astype(np.uint16),
            "score": single if exact else self.score.astype(np.float64),
            "true": np.packbits(self.true.reshape(len(self), planes).T, axis=1),
            "ignored": np.packbits(self.ignored.reshape(len(self), planes).T, axis=1),
            "gt_image": self.gt_image.astype(np.uint32),
            "gt_label": self.gt_label.astype(np.uint16),
            "gt_count": self.gt_count.astype(np.uint16),
            "predicted": self.predicted[found].astype(np.float32),
            "iou": self.iou[found].astype(np.float32),
        }

    @classmethod
    def load(cls, path: Path) -> Matches:
        """Reads what `save` wrote. ValueError naming the file where it is something else."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            count, shape = len(arrays["score"]), (len(arrays["score"]), len(THRESHOLDS), len(AREAS))
            bits = {
                name: np.unpackbits(arrays[name], axis=1, count=count).T.astype(bool).reshape(shape)
                for name in ("true", "ignored")
            }
            found = bits["true"][:, 0, 0]
            values = {}
            for name in ("predicted", "iou"):
                values[name] = np.full(count, np.nan, dtype=np.float32)
                values[name][found] = arrays[name]
            return cls(
                image_ids=arrays["image_ids"],
                classes=int(arrays["classes"]),
                image=np.repeat(np.arange(len(arrays["image_ids"])), arrays["per_image"]),
                label=arrays["label"].astype(np.int64),
                score=arrays["score"],
                gt_image=arrays["gt_image"].astype(np.int64),
                gt_label=arrays["gt_label"].astype(np.int64),
                gt_count=arrays["gt_count"].astype(np.int64),
                **bits,
                **values,
            )
        except FileNotFoundError:
            raise
        except Exception as error:
            raise ValueError(f"{path}: not a file of matches ({error})") from error


def average_precision(matches: Matches, images: Array | None = None) -> dict[str, float | None]:
    """AP, AP50, AP75, APS, APM, APL in percent, equal to pycocotools' on the same images; None without ground truth.

    images  [N] int, indices into `matches.image_ids`, with repetition (a bootstrap resample); None takes each once. An
            image that occurs twice counts as two images, in the order given: that order breaks ties of score, as the
            order of image ids does in pycocotools.
    """
    return summary(precision(matches, images))


def summary(table: Array) -> dict[str, float | None]:
    """The six AP numbers in percent of a table [T, R, K, A] of precisions, -1 where there is no ground truth."""
    return {
        "AP": mean(table[..., 0]),
        "AP50": mean(table[0, ..., 0]),
        "AP75": mean(table[5, ..., 0]),
        "APS": mean(table[..., 1]),
        "APM": mean(table[..., 2]),
        "APL": mean(table[..., 3]),
    }


def mean(values: Array) -> float | None:
    """Mean of those above -1, in percent; None if there is none."""
    counted = values[values > -1]
    return 100.0 * float(counted.mean()) if counted.size else None


def precision(matches: Matches, images: Array | None = None) -> Array:
    """Precision [T, R, K, A] at each recall, -1 without ground truth: COCOeval's `eval["precision"]` at 100 detections.

    `images` as in `average_precision`. IndexError where one of them is not an index of `matches.image_ids`.
    """
    total = len(matches.image_ids)
    chosen = np.arange(total) if images is None else np.asarray(images, dtype=np.int64)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= total):
        raise IndexError(f"images must be indices from 0 to {total - 1}")
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
