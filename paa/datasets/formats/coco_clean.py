"""COCO's lists as arrays, without the entries that are wrong.

What is wrong with single images or annotations is a finding, and the entry is left out; what breaks the whole (no
image, no category, categories of the same id) is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from paa.datasets.errors import AnnotationError
from paa.datasets.findings import Finding, refusal
from paa.datasets.formats.coco_json import Lists
from paa.datasets.formats.rules import ANNOTATIONS, CATEGORIES, IMAGES, UNFIT, Columns, Entries, sift
from paa.log import log

_NUMBERS, _ARRAYS = (int, float, np.number), (list, tuple, np.ndarray)


def clean(lists: Lists, path: Path, depth: int = 0) -> tuple[dict[str, Any], list[Finding]]:
    """Return the arrays that CocoIndex is made of, by its names of them, and what was left out of the lists.

    path   what messages name.
    depth  how many folders file names may lead up and still stay within the data root.
    AnnotationError where the file as a whole cannot be used.
    """
    if not lists["categories"]:
        raise AnnotationError(f"{path}: lists no category; must list the classes, each with an id and a name")
    if not lists["images"]:
        raise AnnotationError(f"{path}: lists no image; must list the files of the split")
    stated = _columns(lists["categories"], "id", "name")
    categories, found = sift(lists["categories"], stated, CATEGORIES, f"{path}: category")
    if found:  # labels would mean something else without it
        raise AnnotationError(found[0].first)
    stated = _columns(lists["images"], "id", "file_name", "width", "height")
    stated["depth"] = np.full(len(lists["images"]), depth)
    images, found = sift(lists["images"], stated, IMAGES, f"{path}: image")
    if not len(images["id"]):
        raise AnnotationError(f"{path}: lists no usable image; {refusal(found, 'nothing is left')}")
    categories, images = _sorted(categories, "id"), _sorted(images, "id")
    annotations, more = _annotations(lists["annotations"], images, stated["id"], categories, f"{path}: annotation")
    arrays = {
        "image_ids": images["id"],
        "file_names": images["file_name"],
        "widths": images["width"],
        "heights": images["height"],
        "offsets": offsets_of(np.bincount(annotations["image"], minlength=len(images["id"]))),
        "boxes": annotations["bbox"],
        "areas": annotations["area"],
        "labels": annotations["label"],
        "crowd": annotations["iscrowd"] != 0,
        "annotation_ids": annotations["id"],
        "category_ids": categories["id"],
        "category_names": tuple(categories["name"].tolist()),
    }
    return arrays, found + more


def offsets_of(counts: np.ndarray) -> np.ndarray:
    """Return [I + 1] int64: where each image's annotations begin, of `counts` [I], and where the last end."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _annotations(
    entries: Entries, images: Columns, listed: np.ndarray, categories: Columns, where: str
) -> tuple[Columns, list[Finding]]:
    """Good annotations, image by image, with the positions of their images and categories; what is wrong."""
    columns = _columns(entries, "id", "image_id", "category_id", "bbox", "area", "iscrowd")
    columns["id"] = _renumbered(columns, where)
    without = np.array([entry.get("area") is None for entry in entries], dtype=bool)
    with np.errstate(over="ignore"):
        columns["area"] = np.where(without, columns["bbox"][:, 2:].prod(1), columns["area"])
    columns["listed"] = np.isin(columns["image_id"], listed)
    columns["image"] = _positions(images["id"], columns["image_id"])
    columns["label"] = _positions(categories["id"], columns["category_id"])
    columns |= {f"image_{side}": images[side][columns["image"]] for side in ("width", "height")}
    good, found = sift(entries, columns, ANNOTATIONS, where)
    return _sorted(good, "image"), found


def _renumbered(columns: Columns, where: str) -> np.ndarray:
    """The ids; numbers from 1 where they restart in each image: nothing in the file refers to an annotation."""
    ids, pairs = columns["id"], np.column_stack([columns["image_id"], columns["id"]])
    if len(np.unique(ids)) == len(ids) or len(np.unique(pairs, axis=0)) < len(ids) or (ids == UNFIT).any():
        return ids
    _warn(f"{where} ids restart in each image; they are numbered from 1 on instead")
    return np.arange(1, len(ids) + 1)


@lru_cache
def _warn(line: str) -> None:
    """Warn once of each file."""
    log.warning(line)


def _positions(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each of `wanted` stands in ascending `ids`, -1 where it does not."""
    at = np.searchsorted(ids, wanted).clip(max=len(ids) - 1)
    return np.where(ids[at] == wanted, at, -1)


def _sorted(columns: Columns, key: str) -> Columns:
    order = np.argsort(columns[key], kind="stable")
    return {name: column[order] for name, column in columns.items()}


def _columns(entries: Entries, *keys: str) -> Columns:
    """One array for each key; what is null or missing is 0 where it may be."""
    default = {"area": 0, "iscrowd": 0}
    return {
        key: _READ.get(key, _integers)(
            [default.get(key) if (value := entry.get(key)) is None else value for entry in entries]
        )
        for key in keys
    }


def _integers(values: Sequence[Any]) -> np.ndarray:
    """[n] int64. A whole number may be written as a float."""
    if set(map(type, values)) == {int}:  # nearly always, and COCO has a million of them
        with suppress(OverflowError):
            return np.array(values, dtype=np.int64)
    whole = [isinstance(value, _NUMBERS) and abs(value) < 2**63 and value == int(value) for value in values]
    return np.array([int(v) if is_ else UNFIT for v, is_ in zip(values, whole, strict=True)], dtype=np.int64)


def _numbers(values: Sequence[Any]) -> np.ndarray:
    """[n] float64. Numbers that a float can hardly hold are none."""
    usable = (isinstance(v, _NUMBERS) and not isinstance(v, bool) and abs(v) < 1e300 for v in values)
    return np.array([v if is_ else np.nan for v, is_ in zip(values, usable, strict=True)], dtype=np.float64)


def _boxes(values: Sequence[Any]) -> np.ndarray:
    fours = [value if isinstance(value, _ARRAYS) and len(value) == 4 else [np.nan] * 4 for value in values]
    return _numbers(list(chain.from_iterable(fours))).reshape(-1, 4)


def _texts(values: Sequence[Any]) -> np.ndarray:
    """[n] str, of an integer its digits. Blanks are none, nor is what cannot stand in a file name."""
    words = [str(value) if isinstance(value, int) else value for value in values]
    return np.array([w if isinstance(w, str) and w.strip() and "\0" not in w else "" for w in words], dtype=np.str_)


_READ: dict[str, Callable[[Sequence[Any]], np.ndarray]] = {
    "bbox": _boxes,
    "area": _numbers,
    "file_name": _texts,
    "name": _texts,
}
