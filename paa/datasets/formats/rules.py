"""What may be wrong with the entries of COCO's lists: one table for training and for `paa.data check`.

A rule sees the entries of a list as columns: one array for each key, where what is no such value has a mark: UNFIT for
whole numbers, NaN for others, "" for text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paa.datasets.findings import FOLLOWING, Finding

Entries = list[dict[str, Any]]
Columns = dict[str, np.ndarray]

WHERE, PROBLEM = "\0where", "\0problem"
"""Keys of entries that were made from another format: how messages about them begin, and what is wrong with those
that cannot be used.
"""

UNFIT = -(2**63)
"""In place of what is no integer of 64 bits."""


@dataclass(frozen=True)
class Rule:
    """What is wrong with entries, and what is said of the first of them.

    kind     of the finding, in the plural.
    wrong    [n] from the columns: not 0 where an entry is wrong.
    problem  the end of the line: {n} is what `wrong` gives, {has[key]} what the entry states, {key} its column.
    """

    kind: str
    wrong: Callable[[Columns], np.ndarray]
    problem: str


def sift(entries: Entries, columns: Columns, rules: Sequence[Rule], where: str) -> tuple[Columns, list[Finding]]:
    """Return the columns of the entries that no rule finds wrong, and what is wrong, in the order of the entries.

    A rule sees the entries that those before it have left. where: what messages begin with, "FILE: image".
    """
    columns, found = {**columns, "row": np.arange(len(entries))}, {}
    for rule in rules:
        wrong = rule.wrong(columns)
        if not wrong.any():
            continue
        first = {key: column[wrong != 0][0] for key, column in {**columns, "n": wrong}.items()}
        entry = entries[first["row"]]
        name = f"number {first['row'] + 1} of the list" if entry.get("id") is None else f"id {entry['id']}"
        problem = entry.get(PROBLEM) or rule.problem.format(has={key: _stated(entry, key) for key in columns}, **first)
        line = f"{entry.get(WHERE) or f'{where} {name}'} {problem}"
        found[first["row"]] = Finding(rule.kind, line, int(np.count_nonzero(wrong)))
        columns = {key: column[wrong == 0] for key, column in columns.items()}
    return columns, [found[row] for row in sorted(found)]


def _stated(entry: dict[str, Any], key: str) -> str:
    value = repr(entry.get(key))
    return f'has "{key}" {value[:77] + "..." if len(value) > 80 else value}' if value != "None" else f'has no "{key}"'


def _usable(what: str, key: str, must_be: str, low: int = UNFIT + 1) -> Rule:
    """Refuse marked values, and numbers below `low`."""

    def wrong(columns: Columns) -> np.ndarray:
        column = columns[key]
        if column.dtype.kind == "U":
            return column == ""
        return ~((column if column.ndim == 1 else column.min(1)) >= low)  # NaN is not

    return Rule(f'{what}s without a usable "{key}"', wrong, f"{{has[{key}]}}: must be {must_be}")


def _leads_out(columns: Columns) -> np.ndarray:
    """Whether a file name is absolute (on any system) or climbs more than `depth` folders; what links do is theirs."""
    names = [name.replace("\\", "/") for name in columns["file_name"].tolist()]
    absolute = [re.match("/|.:", name) is not None for name in names]
    climbs = [os.path.normpath(name).split("/").count("..") for name in names]
    return np.array(absolute, dtype=bool) | (np.array(climbs, dtype=np.int64) > columns["depth"])


def _outside(columns: Columns) -> np.ndarray:
    """A side of zero is no mistake: COCO itself has some."""
    x, y, w, h = columns["bbox"].T
    beyond = (x >= columns["image_width"]) | (y >= columns["image_height"]) | (x + w <= 0) | (y + h <= 0)
    return beyond & (np.minimum(w, h) > 0)


def _repeated(columns: Columns) -> np.ndarray:
    """How often an id is given, for all but the first entry of each.

    Of images it is all where the files differ: whose the boxes are cannot be known.
    """
    _, first, same, counts = np.unique(columns["id"], return_index=True, return_inverse=True, return_counts=True)
    names, times = columns.get("file_name", same), counts[same]
    one_file = np.bincount(same, names != names[first][same]) == 0
    times[first[one_file]] = 0
    return times


def _fractions(columns: Columns) -> np.ndarray:
    """All boxes, where all of them lie within 0 ... 1 of images that are larger."""
    boxes, side = columns["bbox"], np.minimum(columns["image_width"], columns["image_height"])
    within = (boxes[:, :2] + boxes[:, 2:] <= 1.001).all() and (boxes % 1).any()
    return np.full(len(boxes), bool(within) and bool((side > 8).all()))


def _corners(columns: Columns) -> np.ndarray:
    """All boxes, where each is one if read as two corners within its image, and a tenth read as sides reaches out."""
    x, y, w, h = columns["bbox"].T
    width, height = columns["image_width"], columns["image_height"]
    are = (w > x) & (h > y) & (w <= width) & (h <= height)
    reach_out = (x + w > width + 1) | (y + h > height + 1)
    return np.full(len(x), len(x) >= 8 and bool(are.all()) and reach_out.mean() >= 0.1)


def _twice(columns: Columns) -> np.ndarray:
    """Boxes that another of the same class in the image has to the last digit; a few of them, as COCO has, are none."""
    own = np.column_stack([columns["image"], columns["label"], columns["bbox"]])
    order, twice = np.lexsort(own.T), np.zeros(len(own), dtype=bool)
    twice[order[1:]] = (own[order[1:]] == own[order[:-1]]).all(1)
    return twice & (10 * np.count_nonzero(twice) >= len(own))


def _shared(key: str) -> Callable[[Columns], np.ndarray]:
    """Entries whose `key` an earlier one has."""

    def wrong(columns: Columns) -> np.ndarray:
        _, first = np.unique(columns[key], return_index=True)
        return ~np.isin(np.arange(len(columns[key])), first)

    return wrong


_INTEGER, _TIMES = "an integer of at most 64 bits", "is given {n} times; ids must differ"
_AWAY = "{has[file_name]}, which leads out of the data root: must be relative to the images"
_NEGATIVE = "{has[bbox]}: width and height must not be negative ([x, y, w, h])"
_OUTSIDE = "{has[bbox]}, wholly outside of image id {image_id}: must meet its {image_width} x {image_height} pixels"
_NO_IMAGE = "is of image {image_id}, which the file does not list"
_NO_CATEGORY = "is of category {category_id}, which the file does not list"
_FRACTIONS = "{has[bbox]}, as all boxes, within 0 ... 1: must be in pixels, not in fractions of the image"
_CORNERS = "{has[bbox]}: must be [x, y, w, h], but all boxes look like two corners [x1, y1, x2, y2]"
_TWICE = "{has[bbox]} of category {category_id}, as another of the image has: each object must be listed once"
_FILE = "{has[file_name]}, as another image has: each file must have one id"

CATEGORIES = (
    _usable("category", "id", _INTEGER),
    _usable("category", "name", "text"),
    Rule("", _repeated, _TIMES),
    Rule("", _shared("name"), "{has[name]}, as another category has: names must differ"),
)
IMAGES = (
    _usable("image", "id", _INTEGER),
    _usable("image", "file_name", "text"),
    Rule("images whose file_name leads out of the data root", _leads_out, _AWAY),
    _usable("image", "width", "an integer from 1", low=1),
    _usable("image", "height", "an integer from 1", low=1),
    Rule("images of an id that is given more than once", _repeated, _TIMES),
    Rule("images of a file that another has already", _shared("file_name"), _FILE),
)
ANNOTATIONS = (
    _usable("annotation", "id", _INTEGER),
    _usable("annotation", "image_id", _INTEGER),
    Rule("annotations whose image_id the file does not list", lambda columns: ~columns["listed"], _NO_IMAGE),
    Rule(FOLLOWING, lambda columns: columns["image"] < 0, "is of image {image_id}"),
    _usable("annotation", "category_id", _INTEGER),
    Rule("annotations whose category_id the file does not list", lambda columns: columns["label"] < 0, _NO_CATEGORY),
    _usable("annotation", "bbox", "four finite numbers [x, y, w, h]"),
    Rule("boxes of negative width or height", lambda columns: columns["bbox"][:, 2:].min(1) < 0, _NEGATIVE),
    Rule("boxes in fractions of the image", _fractions, _FRACTIONS),
    Rule("boxes of two corners", _corners, _CORNERS),
    Rule("boxes wholly outside of their image", _outside, _OUTSIDE),
    _usable("annotation", "area", "a finite number from 0", low=0),
    _usable("annotation", "iscrowd", _INTEGER),
    Rule("annotations of an id that another has already", _repeated, _TIMES),
    Rule("annotations of a box that another has already", _twice, _TWICE),
)
"""In this order: a rule may rely on the ones before it."""
