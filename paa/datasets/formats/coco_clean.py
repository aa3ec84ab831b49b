"""COCO's lists as arrays, without the entries that are wrong.

Legend: I images, N annotations, C categories. What is wrong with single images or annotations is a finding, and the
entry is left out; what breaks the whole (no image, no category, categories of the same id) is refused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from paa.datasets.errors import AnnotationError
from paa.datasets.findings import FOLLOWING, Findings, Rows
from paa.datasets.formats.coco_json import Lists


def clean(lists: Mapping[str, Any] | Lists, path: Path, depth: int = 0) -> tuple[dict[str, Any], Findings]:
    """Return the arrays that CocoIndex is made of, by its names of them, and what was left out of the lists.

    path   what messages name.
    depth  how many folders file names may lead up and still stay within the data root.
    AnnotationError where the file as a whole cannot be used.
    """
    found = Findings()
    category_ids, names = _categories(path, lists["categories"])
    images = _images(path, lists["images"], found, depth)
    annotations = _annotations(path, lists["annotations"], found, images, category_ids)
    image = np.searchsorted(images["image_ids"], annotations.pop("image_id"))
    order = np.argsort(image, kind="stable")
    counts = np.bincount(image, minlength=len(images["image_ids"]))
    arrays = {
        **{name: images[name] for name in ("image_ids", "file_names", "widths", "heights")},
        **{name: array[order] for name, array in annotations.items()},
        "offsets": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "category_ids": category_ids,
        "category_names": names,
    }
    return arrays, found


def _categories(path: Path, entries: list[dict[str, Any]]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Ids ascending [C] and names; a wrong one is refused, since labels would mean something else without it."""
    if not entries:
        raise AnnotationError(f"{path}: lists no category; must list the classes, each with an id and a name")
    found = Findings()
    rows = Rows(str(path), "category", entries, found)
    ids = rows.integers("id")
    rows.mark("", _repeated(ids), lambda i: f"is given {(ids == ids[i]).sum()} times; ids must differ")
    names = rows.texts("name")
    for one in found.all:
        raise AnnotationError(one.first)
    order = np.argsort(ids, kind="stable")
    return ids[order], tuple(names[order].tolist())


def _images(path: Path, entries: list[dict[str, Any]], found: Findings, depth: int) -> dict[str, np.ndarray]:
    """Good images in the order of their ids; and `listed`, the ids of all."""
    if not entries:
        raise AnnotationError(f"{path}: lists no image; must list the files of the split")
    rows = Rows(str(path), "image", entries, found)
    ids = rows.integers("id")
    listed = np.unique(ids[rows.good])
    names = rows.texts("file_name")
    rows.mark(
        "images whose file_name leads out of the data root",
        np.array([_leads_out(name, depth) for name in names.tolist()], dtype=bool),
        lambda i: (
            f'has "file_name" {str(names[i])!r}, which leads out of the data root: must be relative to the images'
        ),
    )
    widths, heights = (rows.integers(key, low=1) for key in ("width", "height"))
    _mark_repeated_images(rows, ids, names)
    if not rows.good.any():
        raise AnnotationError(f"{path}: lists no usable image; {found.refusal('nothing is left')}")
    order = np.flatnonzero(rows.good)[np.argsort(ids[rows.good], kind="stable")]
    return {
        "image_ids": ids[order],
        "file_names": names[order],
        "widths": widths[order],
        "heights": heights[order],
        "listed": listed,
    }


def _mark_repeated_images(rows: Rows, ids: np.ndarray, names: np.ndarray) -> None:
    """Of entries with one id the first stays if all name one file; else none: whose the boxes are cannot be known."""
    wrong = np.zeros(len(ids), dtype=bool)
    repeated = _repeated(ids, rows.good)
    for identity in np.unique(ids[repeated]).tolist():
        at = np.flatnonzero(repeated & (ids == identity))
        wrong[at[1:] if len(set(names[at].tolist())) == 1 else at] = True
    rows.mark(
        "images of an id that is given more than once",
        wrong,
        lambda i: f"is given {int((repeated & (ids == ids[i])).sum())} times; ids must differ",
    )


def _annotations(
    path: Path, entries: list[dict[str, Any]], found: Findings, images: dict[str, np.ndarray], categories: np.ndarray
) -> dict[str, np.ndarray]:
    """Good annotations in the file's order."""
    rows = Rows(str(path), "annotation", entries, found)
    ids = rows.integers("id")
    of_image = rows.integers("image_id")
    rows.mark(
        "annotations of an image that the file does not list",
        ~np.isin(of_image, images["listed"]),
        lambda i: f"is of image {of_image[i]}, which the file does not list",
    )
    rows.mark(FOLLOWING, ~np.isin(of_image, images["image_ids"]), lambda i: f"is of image {of_image[i]}")
    of_category = rows.integers("category_id")
    label = np.minimum(np.searchsorted(categories, of_category), len(categories) - 1)
    rows.mark(
        "annotations of a category that the file does not list",
        categories[label] != of_category,
        lambda i: f"is of category {of_category[i]}, which the file does not list",
    )
    boxes = rows.numbers("bbox", 4, "four finite numbers [x, y, w, h]")
    _mark_boxes(rows, boxes, of_image, images)
    areas = rows.numbers("area", 1, "a finite number", default=boxes[:, 2] * boxes[:, 3])[:, 0]
    crowd = rows.integers("iscrowd", default=0)
    first = np.zeros(len(ids), dtype=bool)
    first[np.flatnonzero(rows.good)[np.unique(ids[rows.good], return_index=True)[1]]] = True
    rows.mark(
        "annotations of an id that another has already",
        ~first,
        lambda i: f"is given {int((ids == ids[i]).sum())} times; ids must differ",
    )
    keep = rows.good
    return {
        "image_id": of_image[keep],
        "boxes": boxes[keep],
        "areas": areas[keep],
        "labels": label[keep].astype(np.int64),
        "crowd": crowd[keep] != 0,
        "annotation_ids": ids[keep],
    }


def _mark_boxes(rows: Rows, boxes: np.ndarray, of_image: np.ndarray, images: dict[str, np.ndarray]) -> None:
    """Negative sides, and boxes beyond their image. A side of zero is no mistake: COCO itself has some."""
    x, y, w, h = boxes.T
    rows.mark(
        "boxes of negative width or height",
        np.minimum(w, h) < 0,
        lambda i: f'has "bbox" {boxes[i].tolist()}: width and height must not be negative ([x, y, w, h])',
    )
    at = np.minimum(np.searchsorted(images["image_ids"], of_image), len(images["image_ids"]) - 1)
    width, height = images["widths"][at], images["heights"][at]
    beyond = (x >= width) | (y >= height) | (x + w <= 0) | (y + h <= 0)
    rows.mark(
        "boxes wholly outside of their image",
        beyond & (np.minimum(w, h) > 0),
        lambda i: (
            f'has "bbox" {boxes[i].tolist()}, wholly outside of image id {of_image[i]}: must meet its'
            f" {width[i]} x {height[i]} pixels"
        ),
    )


def _repeated(ids: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """bool [n]: where an id stands that `among` has more than once."""
    among = np.ones(len(ids), dtype=bool) if among is None else among
    values, counts = np.unique(ids[among], return_counts=True)
    return among & np.isin(ids, values[counts > 1])


def _leads_out(name: str, depth: int) -> bool:
    """Whether a file name is absolute (on any system) or climbs more than `depth` folders; what links do is theirs."""
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or name.startswith("\\"):
        return True
    parts = os.path.normpath(name.replace("\\", "/")).replace("\\", "/").split("/")
    return sum(part == ".." for part in parts) > depth
