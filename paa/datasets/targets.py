"""Boxes that training sees: from the stored xywh to clipped xyxy, without crowds and without what has no area.

Legend: I images, M boxes kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from paa import checks
from paa.datasets.errors import DataError
from paa.datasets.formats.coco_clean import offsets_of
from paa.datasets.formats.coco_index import CocoIndex

RULES = ("clip", "mmdet")
EMPTY_IMAGES = ("keep", "drop", "unannotated")
DEGENERATE_BOXES = ("keep", "drop")


@dataclass(frozen=True)
class TrainingBoxes:
    """Ground truth of a split in pixels of the stored images.

    boxes [M, 4] float32 xyxy, labels [M] int64, offsets [I + 1] int64 as in CocoIndex.
    crowds, dropped: how many boxes were left out for being crowds, and for having no area.
    """

    boxes: Tensor
    labels: Tensor
    offsets: np.ndarray
    crowds: int
    dropped: int

    def of(self, i: int) -> tuple[Tensor, Tensor]:
        """Return boxes [G, 4] and labels [G] of the image at position i."""
        rows = slice(int(self.offsets[i]), int(self.offsets[i + 1]))
        return self.boxes[rows], self.labels[rows]

    @property
    def counts(self) -> np.ndarray:
        """[I] int64: boxes of each image."""
        return np.diff(self.offsets)


def training_boxes(index: CocoIndex, *, legacy: bool = False, rule: str = "clip") -> TrainingBoxes:
    """Return the boxes of every image of `index`.

    legacy  False: x2 = x1 + w, clipped to [0, W]; True: x2 = x1 + max(w - 1, 0), clipped to [0, W - 1], in float32
            throughout (authors' code, `BoxList.convert` and `clip_to_image`).
    rule    "clip": what has x2 <= x1 or y2 <= y1 after clipping is dropped (authors' code);
            "mmdet": what is stored with area <= 0, w < 1 or h < 1, or does not meet the image (MMDetection
            `CocoDataset.parse_data_info`).
    """
    checks.flag("legacy", legacy)
    checks.choice("rule", rule, RULES)
    image = index.image_of
    number = np.float32 if legacy else np.float64
    x1, y1, w, h = index.boxes.astype(number).T
    right, bottom = index.widths[image].astype(number), index.heights[image].astype(number)
    if legacy:
        w, h, right, bottom = np.maximum(w - 1, 0), np.maximum(h - 1, 0), right - 1, bottom - 1
    corners = np.stack([x1, y1, x1 + w, y1 + h], axis=1)
    clipped = np.clip(corners, 0, np.stack([right, bottom, right, bottom], axis=1))
    keep = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    if rule == "mmdet":
        keep &= (index.areas > 0) & (index.boxes[:, 2] >= 1) & (index.boxes[:, 3] >= 1)
    counted = ~index.crowd
    rows = keep & counted
    return TrainingBoxes(
        boxes=torch.from_numpy(clipped[rows].astype(np.float32)),
        labels=torch.from_numpy(index.labels[rows]),
        offsets=offsets_of(np.bincount(image[rows], minlength=len(index))),
        crowds=int(index.crowd.sum()),
        dropped=int((counted & ~keep).sum()),
    )


def training_images(
    index: CocoIndex,
    truths: TrainingBoxes,
    *,
    empty_images: str = "keep",
    degenerate_boxes: str = "keep",
    min_side: int = 0,
) -> np.ndarray:
    """Return the positions of the images to train on, ascending int64.

    empty_images  "keep": an image left without a box is trained as all negative; "drop": it is left out (authors' code
                  would stop at it); "unannotated": it is left out if its annotations hold nothing at all, neither a
                  crowd nor a box that training drops (MMDetection `CocoDataset.filter_data`).
    degenerate_boxes   "drop": an image is left out if all that is annotated in it, crowds too, is at most one
                  pixel wide or high as stored (authors' code, `has_valid_annotation`); "keep": it is kept.
    min_side      images with a side below this many pixels are left out (MMDetection: 32).
    """
    checks.choice("empty_images", empty_images, EMPTY_IMAGES)
    checks.choice("degenerate_boxes", degenerate_boxes, DEGENERATE_BOXES)
    checks.integer("min_side", min_side, low=0)
    keep = np.minimum(index.widths, index.heights) >= min_side
    annotated = _each(index, np.ones(len(index.boxes), dtype=bool))
    if empty_images == "drop":
        keep &= truths.counts > 0
    elif empty_images == "unannotated":
        keep &= annotated > 0
    if degenerate_boxes == "drop":
        thin = _each(index, index.boxes[:, 2:].min(axis=1) <= 1)
        keep &= (annotated == 0) | (thin < annotated)
    return np.flatnonzero(keep)


def trained_on(index: CocoIndex, images: Mapping[str, Any]) -> tuple[TrainingBoxes, np.ndarray]:
    """Return the boxes of every image, and the positions of the images to train on, by the keys of the node `images`.

    DataError where no image or no box is left to train on; it names the key that leaves none.
    """
    truths = training_boxes(index, legacy=images["legacy"], rule=images["boxes"])
    chosen = training_images(
        index,
        truths,
        empty_images=images["empty"],
        degenerate_boxes=images["degenerate_boxes"],
        min_side=images["min_side"],
    )
    if truths.counts[chosen].any():
        return truths, chosen
    if not len(training_boxes(index).boxes):
        raise DataError(f"{index.path}: has no box to train on; must list boxes of some width and height")
    if not len(truths.boxes):
        keys = f"images.boxes={images['boxes']}, images.legacy={str(images['legacy']).lower()}"
        raise DataError(f"{index.path}: has no box to train on under {keys}: all {truths.dropped} are dropped")
    if np.minimum(index.widths, index.heights).max() < images["min_side"]:
        problem = f"leaves no image to train on: every one has a side below {images['min_side']} pixels"
        raise DataError(f"{index.path}: images.min_side={images['min_side']} {problem}")
    keys = ", ".join(f"images.{key}={images[key]}" for key in ("min_side", "empty", "degenerate_boxes"))
    raise DataError(f"{index.path}: has no image with a box to train on under {keys}")


def _each(index: CocoIndex, chosen: np.ndarray) -> np.ndarray:
    """[I] int64: how many of the chosen annotations [M] bool each image has."""
    return np.bincount(index.image_of[chosen], minlength=len(index))
