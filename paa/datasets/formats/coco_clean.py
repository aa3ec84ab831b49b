"""COCO's lists as arrays, without the entries that are wrong.

Legend: I images, N annotations, C categories. What is wrong with single images or annotations is a finding, and the
entry is left out; what breaks the whole (no image, no category, categories of the same id) is refused.
"""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from paa.datasets.errors import AnnotationError
from paa.datasets.findings import FOLLOWING, Finding, refusal
from paa.datasets.formats.coco_json import Lists
from paa.datasets.formats.entries import Entries, Unusable, box, integer, number, text, usable

Image = tuple[int, str, int, int]
"""Id, file name, width and height of an image."""


def clean(lists: Lists, path: Path, depth: int = 0) -> tuple[dict[str, Any], list[Finding]]:
    """Return the arrays that CocoIndex is made of, by its names of them, and what was left out of the lists.

    path   what messages name.
    depth  how many folders file names may lead up and still stay within the data root.
    AnnotationError where the file as a whole cannot be used.
    """
    categories = _categories(path, lists["categories"])
    images, listed, found = _images(path, lists["images"], depth)
    annotations, more = _annotations(path, lists["annotations"], images, listed, [c[0] for c in categories])
    image_ids, file_names, widths, heights = zip(*images, strict=True)
    position, ids, boxes, areas, labels, crowd = zip(*annotations, strict=True) if annotations else ((),) * 6
    counts = np.bincount(np.array(position, dtype=np.int64), minlength=len(images))
    arrays = {
        "image_ids": np.array(image_ids, dtype=np.int64),
        "file_names": np.array(file_names, dtype=np.str_),
        "widths": np.array(widths, dtype=np.int64),
        "heights": np.array(heights, dtype=np.int64),
        "offsets": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "boxes": np.array(boxes, dtype=np.float64).reshape(-1, 4),
        "areas": np.array(areas, dtype=np.float64),
        "labels": np.array(labels, dtype=np.int64),
        "crowd": np.array(crowd, dtype=bool),
        "annotation_ids": np.array(ids, dtype=np.int64),
        "category_ids": np.array([c[0] for c in categories], dtype=np.int64),
        "category_names": tuple(c[1] for c in categories),
    }
    return arrays, found + more


def _categories(path: Path, entries: Entries) -> list[tuple[int, str]]:
    """Ids ascending and names; a wrong one is refused, since labels would mean something else without it."""
    if not entries:
        raise AnnotationError(f"{path}: lists no category; must list the classes, each with an id and a name")
    rows, found = usable(entries, lambda entry: (integer(entry, "id"), text(entry, "name")), str(path), "category")
    ids = [row[0] for row in rows]
    found += [Finding("", f"{path}: category id {i} {_given(ids.count(i))}") for i in ids if ids.count(i) > 1]
    if found:
        raise AnnotationError(found[0].first)
    return sorted(rows)


def _images(path: Path, entries: Entries, depth: int) -> tuple[list[Image], set[int], list[Finding]]:
    """Good images in the order of their ids; the ids of all; what is wrong."""
    if not entries:
        raise AnnotationError(f"{path}: lists no image; must list the files of the split")
    listed = set()

    def image(entry: dict[str, Any]) -> Image:
        identity = integer(entry, "id")
        listed.add(identity)
        name = text(entry, "file_name")
        if _leads_out(name, depth):
            problem = f'has "file_name" {name!r}, which leads out of the data root: must be relative to the images'
            raise Unusable("images whose file_name leads out of the data root", problem)
        return identity, name, integer(entry, "width", low=1), integer(entry, "height", low=1)

    images, found = usable(entries, image, str(path), "image")
    of_id: dict[int, list[Image]] = {}
    for row in images:
        of_id.setdefault(row[0], []).append(row)
    for identity, rows in of_id.items():
        if len(rows) > 1:
            # Entries of one file count once; of several files, whose the boxes are cannot be known.
            kept = rows[:1] if len({name for _, name, _, _ in rows}) == 1 else []
            problem = f"{path}: image id {identity} {_given(len(rows))}"
            found.append(Finding("images of an id that is given more than once", problem, len(rows) - len(kept)))
            of_id[identity] = kept
    good = [row for _, rows in sorted(of_id.items()) for row in rows]
    if not good:
        raise AnnotationError(f"{path}: lists no usable image; {refusal(found, 'nothing is left')}")
    return good, listed, found


def _annotations(
    path: Path, entries: Entries, images: Sequence[Image], listed: set[int], categories: Sequence[int]
) -> tuple[list[tuple[Any, ...]], list[Finding]]:
    """(position of the image, id, box, area, label, crowd) of the good annotations, image by image; what is wrong."""
    position = {image[0]: at for at, image in enumerate(images)}
    label = {identity: at for at, identity in enumerate(categories)}

    def annotation(entry: dict[str, Any]) -> tuple[Any, ...]:
        identity, image = integer(entry, "id"), _listed(entry, "image_id", listed)
        if image not in position:
            raise Unusable(FOLLOWING, f"is of image {image}")
        category = _listed(entry, "category_id", label)
        x, y, w, h = xywh = box(entry, "bbox")
        if min(w, h) < 0:
            problem = "width and height must not be negative ([x, y, w, h])"
            raise Unusable("boxes of negative width or height", f'has "bbox" {list(xywh)}: {problem}')
        _, _, width, height = images[position[image]]
        # A side of zero is no mistake: COCO itself has some.
        if min(w, h) > 0 and (x >= width or y >= height or x + w <= 0 or y + h <= 0):
            problem = f"wholly outside of image id {image}: must meet its {width} x {height} pixels"
            raise Unusable("boxes wholly outside of their image", f'has "bbox" {list(xywh)}, {problem}')
        area = number(entry, "area", default=float(w) * float(h))
        return position[image], identity, xywh, area, label[category], integer(entry, "iscrowd", default=0) != 0

    rows, found = usable(entries, annotation, str(path), "annotation")
    ids, first, counts = np.unique([row[1] for row in rows], return_index=True, return_counts=True)
    for i in np.flatnonzero(counts > 1):
        problem = f"{path}: annotation id {ids[i]} {_given(counts[i])}"
        found.append(Finding("annotations of an id that another has already", problem, int(counts[i]) - 1))
    return sorted((rows[i] for i in np.sort(first)), key=lambda row: row[0]), found


def _listed(entry: dict[str, Any], key: str, listed: Container[int]) -> int:
    if (value := integer(entry, key)) not in listed:
        problem = f"is of {key.removesuffix('_id')} {value}, which the file does not list"
        raise Unusable(f"annotations whose {key} the file does not list", problem)
    return value


def _given(times: int) -> str:
    return f"is given {times} times; ids must differ"


def _leads_out(name: str, depth: int) -> bool:
    """Whether a file name is absolute (on any system) or climbs more than `depth` folders; what links do is theirs."""
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or name.startswith("\\"):
        return True
    parts = os.path.normpath(name.replace("\\", "/")).replace("\\", "/").split("/")
    return sum(part == ".." for part in parts) > depth
