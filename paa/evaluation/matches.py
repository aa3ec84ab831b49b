"""What became of each detection: what later statistics (`paa.tables.bootstrap_ap`) need.

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
        """Write a compact .npz atomically; equal matches give equal bytes."""
        files.write_bytes(path, files.npz_bytes(self.arrays()))

    def arrays(self) -> dict[str, Array]:
        """Return the compact arrays that are stored.

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
        """Read what `save` wrote. ValueError naming the file where it is something else."""
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


def mean(values: Array) -> float | None:
    """Return the mean of those above -1, in percent; None if there is none."""
    counted = values[values > -1]
    return 100.0 * float(counted.mean()) if counted.size else None
