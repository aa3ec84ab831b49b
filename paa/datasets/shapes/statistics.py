"""What makes the embedded data set hard in the way that matters for anchor assignment, in numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.images import decode
from paa.datasets.shapes.generate import update
from paa.datasets.shapes.scene import CLASSES, Scene

HOLLOW = ("ring", "angle", "frame", "crescent")
"""Classes that leave the center of their own box free."""


def statistics(scenes: Iterable[Scene]) -> dict[str, float]:
    """Counts and fractions over the scenes, rounded to four places.

    Sizes are those of a box's longer side relative to the image's side; `crowded` is the fraction of images in which
    two boxes overlap at an IoU above 0.3; `off_center` the fraction of objects that do not show at the center of their
    own box; `hollow` the same, counting only rings, frames, angles and crescents; `occluded` the fraction of which a
    tenth or more of the form is hidden or outside; `thin` the fraction of forms three or more times as long as wide.
    """
    drawn = list(scenes)
    counts = np.array([len(scene.boxes) for scene in drawn])
    boxes = np.concatenate([scene.boxes for scene in drawn])
    sides = np.concatenate([np.full(len(scene.boxes), len(scene.pixels)) for scene in drawn])
    labels = np.concatenate([scene.labels for scene in drawn])
    longer = boxes[:, 2:].max(1)
    visible = np.concatenate([scene.areas / scene.forms for scene in drawn])
    centerd = np.concatenate([scene.centerd for scene in drawn])
    aspects = np.concatenate([scene.aspects[:, 0] / scene.aspects[:, 1] for scene in drawn])
    numbers = {
        "images": len(drawn),
        "objects": len(boxes),
        "classes": len(CLASSES),
        "rarest_class": np.bincount(labels, minlength=len(CLASSES)).min() / len(labels),
        "fewest_objects": counts.min(),
        "most_objects": counts.max(),
        "mean_objects": counts.mean(),
        "smallest": (longer / sides).min(),
        "largest": (longer / sides).max(),
        "small": (8 * longer < sides).mean(),
        "off_center": (~centerd).mean(),
        "hollow": (~centerd & np.isin(labels, [CLASSES.index(name) for name in HOLLOW])).mean(),
        "crowded": np.mean([_closest(scene.boxes) > 0.3 for scene in drawn]),
        "occluded": (visible <= 0.9).mean(),
        "thin": (aspects >= 3).mean(),
        "longest_aspect": aspects.max(),
        "longest_box_aspect": (longer / boxes[:, 2:].min(1)).max(),
    }
    return {name: round(float(number), 4) for name, number in numbers.items()}


def _closest(boxes: np.ndarray) -> float:
    """The largest IoU of two different boxes xywh; 0 for fewer than two."""
    low, high, area = boxes[:, :2], boxes[:, :2] + boxes[:, 2:], boxes[:, 2:].prod(1)
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    shared = np.clip(sides, 0, None).prod(2)
    iou = shared / (area[:, None] + area - shared)
    return float((iou - np.eye(len(boxes))).max())


def digest_of_files(index: CocoIndex) -> str:
    """SHA-256 of a split as its files decode; equal to `generate.digest_of_scenes` of the same images."""
    digest = hashlib.sha256()
    for i in range(len(index)):
        rows = slice(int(index.offsets[i]), int(index.offsets[i + 1]))
        pixels = np.asarray(decode(index, i))
        update(digest, int(index.image_ids[i]), pixels, index.labels[rows], index.boxes[rows], index.areas[rows])
    return digest.hexdigest()
