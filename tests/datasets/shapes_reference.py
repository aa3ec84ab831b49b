"""What the embedded data set is, fixed: digests of its content, and numbers that show what makes it hard.

The statistics were fixed before a detector was trained on it, and the data set is not to be tuned to one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.images import decode
from paa.datasets.shapes.generate import Spec, image_id
from paa.datasets.shapes.raster import turned_grid
from paa.datasets.shapes.scene import CLASSES, Scene, draw

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
    visible = np.concatenate([scene.areas / scene.canvas.forms[1:] for scene in drawn])
    centered = np.concatenate([_centered(scene) for scene in drawn])
    aspects = np.array([_aspect(stamp) for scene in drawn for stamp in scene.canvas.stamps])
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
        "off_center": (~centered).mean(),
        "hollow": (~centered & np.isin(labels, [CLASSES.index(name) for name in HOLLOW])).mean(),
        "crowded": np.mean([_closest(scene.boxes) > 0.3 for scene in drawn]),
        "occluded": (visible <= 0.9).mean(),
        "thin": (aspects >= 3).mean(),
        "longest_aspect": aspects.max(),
        "longest_box_aspect": (longer / boxes[:, 2:].min(1)).max(),
    }
    return {name: round(float(number), 4) for name, number in numbers.items()}


def _centered(scene: Scene) -> np.ndarray:
    """[N] bool: whether the pixel under the box's center is a visible pixel of the object."""
    middle = scene.boxes[:, :2] + scene.boxes[:, 2:] // 2
    return scene.canvas.owner[middle[:, 1], middle[:, 0]] == np.arange(1, len(scene.boxes) + 1)


def _aspect(stamp: Any) -> float:
    """The longer over the shorter extent of a form along its own axes."""
    axes = turned_grid(stamp.diameter, stamp.odd, stamp.direction)
    short, long = sorted(int(np.ptp(axis[stamp.mask])) + 2 * stamp.direction[2] for axis in axes)
    return long / short


def _closest(boxes: np.ndarray) -> float:
    """The largest IoU of two different boxes xywh; 0 for fewer than two."""
    low, high, area = boxes[:, :2], boxes[:, :2] + boxes[:, 2:], boxes[:, 2:].prod(1)
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    shared = np.clip(sides, 0, None).prod(2)
    iou = shared / (area[:, None] + area - shared)
    return float((iou - np.eye(len(boxes))).max())


def digest_of_files(index: CocoIndex) -> str:
    """SHA-256 of a split as its files decode; equal to `digest_of_scenes` of the same images."""
    digest = hashlib.sha256()
    for i in range(len(index)):
        rows = slice(int(index.offsets[i]), int(index.offsets[i + 1]))
        pixels = np.asarray(decode(index, i))
        update(digest, int(index.image_ids[i]), pixels, index.labels[rows], index.boxes[rows], index.areas[rows])
    return digest.hexdigest()


def scenes(spec: Spec, split: str) -> Iterator[Scene]:
    """The split's images in order."""
    for index in range(spec.count(split)):
        yield draw(spec.seed, split, index, spec.size)


def update(digest: Any, identity: int, pixels: np.ndarray, labels: np.ndarray, boxes: np.ndarray, areas: Any) -> None:
    """Adds one image to a running hash: id, pixels, then label, x, y, w, h, area of each object as 64-bit integers."""
    rows = np.column_stack([labels, boxes, areas]).astype("<i8")
    digest.update(np.array([identity, len(rows), *pixels.shape], dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    digest.update(rows.tobytes())


def digest_of_scenes(spec: Spec, split: str) -> str:
    """SHA-256 of the split as it is drawn; `digest_of_files` gives the same from the files."""
    digest = hashlib.sha256()
    for index, scene in enumerate(scenes(spec, split)):
        update(digest, image_id(split, index), scene.pixels, scene.labels, scene.boxes, scene.areas)
    return digest.hexdigest()


DIGEST = "57d4c75af52e4327a294379dcd5c574c2f2ba71a9d093394f370ff030284470a"
"""Of the whole: SHA-256 of the three of SPLIT_DIGESTS, in hexadecimal, one after the other."""

FIRST_40 = "dd1b07d64a8792d66730f1a9aa7f8dfea563e705f03c919b5f9d44907e2a2197"
"""SHA-256 of the first 40 training images."""

STATISTICS = {
    "images": 5000.0,
    "objects": 26559.0,
    "classes": 10.0,
    "rarest_class": 0.0919,
    "fewest_objects": 1.0,
    "most_objects": 12.0,
    "mean_objects": 5.3118,
    "smallest": 0.0625,
    "largest": 0.9531,
    "small": 0.3627,
    "off_center": 0.4233,
    "hollow": 0.3775,
    "crowded": 0.3852,
    "occluded": 0.2124,
    "thin": 0.1523,
    "longest_aspect": 9.3333,
    "longest_box_aspect": 9.3333,
}
"""`statistics` of all 5000 images."""

STATISTICS_300 = {
    "images": 300.0,
    "objects": 1666.0,
    "classes": 10.0,
    "rarest_class": 0.0858,
    "fewest_objects": 1.0,
    "most_objects": 12.0,
    "mean_objects": 5.5533,
    "smallest": 0.0625,
    "largest": 0.9062,
    "small": 0.3709,
    "off_center": 0.4244,
    "hollow": 0.3691,
    "crowded": 0.44,
    "occluded": 0.2287,
    "thin": 0.1579,
    "longest_aspect": 9.3333,
    "longest_box_aspect": 9.3333,
}
"""`statistics` of the first 300 training images."""
