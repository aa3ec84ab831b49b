"""What may be wrong with the entries of COCO's lists: one table for training and for `paa.data check`.

A rule sees the entries as columns, less those that the rules before it have found wrong.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paa.datasets.findings import FOLLOWING, Finding
from paa.datasets.formats.columns import UNFIT, Columns, Entries, unusable

WHERE, PROBLEM = "\0where", "\0problem"
"""Keys of entries that were made from another format: how messages about them begin, and what is wrong with those
that cannot be used.
"""

INTEGER = "an integer of at most 64 bits"


@dataclass(frozen=True)
class Rule:
    """What is wrong with entries, and what is said of the first of them.

    kind     of the finding, in the plural.
    wrong    [n] from the columns: not 0 where an entry is wrong.
    problem  the end of the line. {has} is what the entry states under `key`, {n} what `wrong` gives, {column} a value.
    """

    kind: str
    wrong: Callable[[Columns], np.ndarray]
    problem: str
    key: str = ""


def sift(
    entries: Entries, columns: Columns, rules: Sequence[Rule], where: str, what: str
) -> tuple[Columns, list[Finding]]:
    """Return the columns of the entries that no rule finds wrong, and what is wrong, in the order of the entries.

    where  what messages begin with, the file; `what` names an entry: "image", "annotation" or "category".
    """
    columns, found = {**columns, "row": np.arange(len(entries))}, {}
    for rule in rules:
        wrong = rule.wrong(columns)
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            row = int(columns["row"][at])
            entry = entries[row]
            name = f"number {row + 1} of the list" if entry.get("id") is None else f"id {entry['id']}"
            of_first = {key: column[at] for key, column in columns.items()}
            problem = rule.problem.format(has=_stated(entry, rule.key), n=wrong[at], **of_first)
            line = f"{entry.get(WHERE) or f'{where}: {what} {name}'} {entry.get(PROBLEM) or problem}"
            found[row] = Finding(rule.kind, line, int(np.count_nonzero(wrong)))
            columns = {key: column[wrong == 0] for key, column in columns.items()}
    return columns, [found[row] for row in sorted(found)]


def _stated(entry: dict[str, Any], key: str) -> str:
    value = repr(entry.get(key))
    return f'has "{key}" {value[:77] + "..." if len(value) > 80 else value}' if value != "None" else f'has no "{key}"'


def _usable(what: str, key: str, must_be: str, low: int = UNFIT) -> Rule:
    def wrong(columns: Columns) -> np.ndarray:
        return unusable(columns[key]) if low == UNFIT else columns[key] < low

    return Rule(f'{what}s without a usable "{key}"', wrong, f"{{has}}: must be {must_be}", key)


def _leads_out(columns: Columns) -> np.ndarray:
    """Whether a file name is absolute (on any system) or climbs more than `depth` folders; what links do is theirs."""
    climbs = [
        os.path.normpath(name.replace("\\", "/")).split("/").count("..") for name in columns["file_name"].tolist()
    ]
    absolute = [re.match(r"[/\\]|.:", name) is not None for name in columns["file_name"].tolist()]
    return np.array(absolute, dtype=bool) | (np.array(climbs, dtype=np.int64) > columns["depth"])


def _outside(columns: Columns) -> np.ndarray:
    """A side of zero is no mistake: COCO itself has some."""
    x, y, w, h = columns["bbox"].T
    beyond = (x >= columns["image_width"]) | (y >= columns["image_height"]) | (x + w <= 0) | (y + h <= 0)
    return beyond & (np.minimum(w, h) > 0)


def _repeated(columns: Columns) -> np.ndarray:
    """How often an id is given, for all but the first entry of each."""
    _, first, inverse, counts = np.unique(columns["id"], return_index=True, return_inverse=True, return_counts=True)
    times = counts[inverse]
    times[first] = 0
    return times


def _repeated_image(columns: Columns) -> np.ndarray:
    """Entries of one file count once; of several files, whose the boxes are cannot be known."""
    _, first, inverse, counts = np.unique(columns["id"], return_index=True, return_inverse=True, return_counts=True)
    names = columns["file_name"]
    several = np.bincount(inverse, names != names[first][inverse]) > 0
    times = counts[inverse]
    times[first[~several]] = 0
    return times


_TIMES = "is given {n} times; ids must differ"

CATEGORIES = (
    _usable("category", "id", INTEGER),
    _usable("category", "name", "text"),
    Rule("", _repeated, _TIMES),
)

IMAGES = (
    _usable("image", "id", INTEGER),
    _usable("image", "file_name", "text"),
    Rule(
        "images whose file_name leads out of the data root",
        _leads_out,
        "{has}, which leads out of the data root: must be relative to the images",
        "file_name",
    ),
    _usable("image", "width", "an integer from 1", low=1),
    _usable("image", "height", "an integer from 1", low=1),
    Rule("images of an id that is given more than once", _repeated_image, _TIMES),
)

ANNOTATIONS = (
    _usable("annotation", "id", INTEGER),
    _usable("annotation", "image_id", INTEGER),
    Rule(
        "annotations whose image_id the file does not list",
        lambda columns: ~columns["listed"],
        "is of image {image_id}, which the file does not list",
    ),
    Rule(FOLLOWING, lambda columns: columns["image"] < 0, "is of image {image_id}"),
    _usable("annotation", "category_id", INTEGER),
    Rule(
        "annotations whose category_id the file does not list",
        lambda columns: columns["label"] < 0,
        "is of category {category_id}, which the file does not list",
    ),
    _usable("annotation", "bbox", "four finite numbers [x, y, w, h]"),
    Rule(
        "boxes of negative width or height",
        lambda columns: (columns["bbox"][:, 2:] < 0).any(1),
        "{has}: width and height must not be negative ([x, y, w, h])",
        "bbox",
    ),
    Rule(
        "boxes wholly outside of their image",
        _outside,
        "{has}, wholly outside of image id {image_id}: must meet its {image_width} x {image_height} pixels",
        "bbox",
    ),
    _usable("annotation", "area", "a finite number"),
    _usable("annotation", "iscrowd", INTEGER),
    Rule("annotations of an id that another has already", _repeated, _TIMES),
)
"""In this order: a rule may rely on the ones before it."""
