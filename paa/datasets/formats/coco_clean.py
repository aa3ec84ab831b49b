"""COCO's lists as arrays, without the entries that are wrong.

Legend: I images, N annotations, C categories. What is wrong with single images or annotations is a finding, and the
entry is left out; what breaks the whole (no image, no category, categories of the same id) is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from paa.datasets.errors import AnnotationError
from paa.datasets.findings import Finding, refusal
from paa.datasets.formats.coco_json import Lists
from paa.datasets.formats.columns import Columns, Entries, boxes, integers, numbers, texts, values
from paa.datasets.formats.rules import ANNOTATIONS, CATEGORIES, IMAGES, sift


def clean(lists: Lists, path: Path, depth: int = 0) -> tuple[dict[str, Any], list[Finding]]:
    """Return the arrays that CocoIndex is made of, by its names of them, and what was left out of the lists.

    path   what messages name.
    depth  how many folders file names may lead up and still stay within the data root.
    AnnotationError where the file as a whole cannot be used.
    """
    for part, what in (
        ("categories", "category; must list the classes, each with an id and a name"),
        ("images", "image; must list the files of the split"),
    ):
        if not lists[part]:
            raise AnnotationError(f"{path}: lists no {what}")
    categories = _categories(lists["categories"], path)
    images, listed, found = _images(lists["images"], path, depth)
    annotations, more = _annotations(lists["annotations"], path, images, listed, categories["id"])
    counts = np.bincount(annotations["image"], minlength=len(images["id"]))
    arrays = {
        "image_ids": images["id"],
        "file_names": images["file_name"],
        "widths": images["width"],
        "heights": images["height"],
        "offsets": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "boxes": annotations["bbox"],
        "areas": annotations["area"],
        "labels": annotations["label"],
        "crowd": annotations["iscrowd"] != 0,
        "annotation_ids": annotations["id"],
        "category_ids": categories["id"],
        "category_names": tuple(categories["name"].tolist()),
    }
    return arrays, found + more


def _categories(entries: Entries, path: Path) -> Columns:
    """In the order of their ids. A wrong one is refused: labels would mean something else without it."""
    columns = {"id": integers(values(entries, "id")), "name": texts(values(entries, "name"))}
    columns, found = sift(entries, columns, CATEGORIES, str(path), "category")
    if found:
        raise AnnotationError(found[0].first)
    return _sorted(columns, "id")


def _images(entries: Entries, path: Path, depth: int) -> tuple[Columns, np.ndarray, list[Finding]]:
    """Good images in the order of their ids; the ids of all; what is wrong."""
    columns = {key: integers(values(entries, key)) for key in ("id", "width", "height")}
    columns |= {"file_name": texts(values(entries, "file_name")), "depth": np.full(len(entries), depth)}
    good, found = sift(entries, columns, IMAGES, str(path), "image")
    if not len(good["id"]):
        raise AnnotationError(f"{path}: lists no usable image; {refusal(found, 'nothing is left')}")
    return _sorted(good, "id"), columns["id"], found


def _annotations(
    entries: Entries, path: Path, images: Columns, listed: np.ndarray, categories: np.ndarray
) -> tuple[Columns, list[Finding]]:
    """Good annotations, image by image, with the positions of their images and categories; what is wrong."""
    columns = {key: integers(values(entries, key)) for key in ("id", "image_id", "category_id")}
    columns |= {"iscrowd": integers(values(entries, "iscrowd", 0)), "bbox": boxes(values(entries, "bbox"))}
    own = np.array([entry.get("area") is None for entry in entries], dtype=bool)
    columns["area"] = np.where(own, columns["bbox"][:, 2:].prod(1), numbers(values(entries, "area", 0)))
    columns["listed"] = np.isin(columns["image_id"], listed)
    columns["image"] = _positions(images["id"], columns["image_id"])
    columns["label"] = _positions(categories, columns["category_id"])
    columns |= {f"image_{side}": images[side][columns["image"]] for side in ("width", "height")}
    good, found = sift(entries, columns, ANNOTATIONS, str(path), "annotation")
    return _sorted(good, "image"), found


def _positions(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each of `wanted` stands in ascending `ids`, -1 where it does not."""
    at = np.searchsorted(ids, wanted).clip(max=len(ids) - 1)
    return np.where(ids[at] == wanted, at, -1)


def _sorted(columns: Columns, key: str) -> Columns:
    order = np.argsort(columns[key], kind="stable")
    return {name: column[order] for name, column in columns.items()}
