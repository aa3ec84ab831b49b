"""Reading a COCO annotation file into arrays, and refusing what is not one.

A refusal is one line: the file, the id, what is wrong and what would be right.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from paa.data.errors import AnnotationError

_LAYOUT = 'a COCO file is an object with the lists "images", "annotations" and "categories"'


def load(path: Path, *, labelled: bool = True) -> dict[str, list[dict[str, Any]]]:
    """The lists `images`, `annotations`, `categories` of a COCO file, checked for being lists of objects.

    labelled: whether the file must have annotations; without, a missing list counts as empty (COCO's test sets).
    Raises AnnotationError.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such file; expected COCO annotations (json)") from None
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        content = json.loads(text)
    except UnicodeDecodeError:
        raise AnnotationError(f"{path}: not a text file; expected COCO annotations (json)") from None
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path}: not json ({error.msg} in line {error.lineno}); {_LAYOUT}") from None
    if not isinstance(content, dict):
        raise AnnotationError(f"{path}: a json {type(content).__name__}, where {_LAYOUT}")
    lists = {}
    for key in ("images", "annotations", "categories"):
        part = content.get(key, [] if key == "annotations" and not labelled else None)
        if not isinstance(part, list) or not all(isinstance(entry, dict) for entry in part):
            state = "missing" if part is None else "not a list of objects"
            raise AnnotationError(f'{path}: "{key}" is {state}; {_LAYOUT}')
        lists[key] = part
    return lists


def column(path: Path, kind: str, entries: list[dict[str, Any]], key: str, default: Any = None) -> list[Any]:
    """`key` of every entry; an entry without it takes `default`, or is refused where there is none.

    kind names an entry in the message ("image", "annotation", "category"). Raises AnnotationError.
    """
    values = [entry.get(key, default) for entry in entries]
    if None in values:
        entry = entries[values.index(None)]
        raise AnnotationError(f'{path}: {kind} id {entry.get("id", "?")} has no "{key}"')
    return values


def integers(path: Path, kind: str, entries: list[dict[str, Any]], key: str, default: int | None = None) -> np.ndarray:
    """`key` of every entry as int64; whole numbers written as floats are taken. Raises AnnotationError."""
    values = column(path, kind, entries, key, default)
    for entry, value in zip(entries, values, strict=True):
        if not isinstance(value, int) and not (isinstance(value, float) and value.is_integer()):
            raise AnnotationError(f'{path}: {kind} id {entry.get("id", "?")} has "{key}" {value!r}: must be an integer')
    return np.array(values, dtype=np.int64)


def areas(path: Path, entries: list[dict[str, Any]], boxes: np.ndarray) -> np.ndarray:
    """Areas as stored, float64; an annotation without one takes that of its box. Raises AnnotationError."""
    stored = [entry.get("area") for entry in entries]
    values = [w * h if area is None else area for area, (w, h) in zip(stored, boxes[:, 2:].tolist(), strict=True)]
    return _floats(path, entries, values, 1, lambda value: f'"area" {value!r}: must be a number').reshape(-1)


def bounding_boxes(path: Path, entries: list[dict[str, Any]]) -> np.ndarray:
    """Boxes xywh as stored, float64 [N, 4]. Raises AnnotationError for what is not four finite numbers."""
    values = column(path, "annotation", entries, "bbox")
    return _floats(path, entries, values, 4, lambda value: f'"bbox" {value!r}: must be four numbers [x, y, w, h]')


def _floats(
    path: Path, entries: list[dict[str, Any]], values: list[Any], width: int, problem: Callable[[Any], str]
) -> np.ndarray:
    try:
        array = np.array(values, dtype=np.float64).reshape(len(values), width)
        wrong = ~np.isfinite(array).all(axis=1)
    except (TypeError, ValueError):
        wrong = np.array([not _numbers(value, width) for value in values])
    if wrong.any():
        at = int(wrong.argmax())
        raise AnnotationError(f"{path}: annotation id {entries[at].get('id', '?')} has {problem(values[at])}")
    return array


def _numbers(value: Any, width: int) -> bool:
    parts = value if isinstance(value, list) else [value]
    return len(parts) == width and all(isinstance(part, int | float) for part in parts)


def unique(path: Path, kind: str, ids: np.ndarray) -> None:
    """Raises AnnotationError where an id is given twice."""
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        first = values[counts > 1][0]
        raise AnnotationError(f"{path}: {kind} id {first} is given {counts[counts > 1][0]} times; ids must differ")


def positions(path: Path, what: str, known: np.ndarray, wanted: np.ndarray, annotation_ids: np.ndarray) -> np.ndarray:
    """Positions of `wanted` in the sorted `known`; raises AnnotationError for an annotation of an unknown `what`."""
    at = np.searchsorted(known, wanted)
    unknown = np.ones(len(wanted), dtype=bool) if not len(known) else known[np.minimum(at, len(known) - 1)] != wanted
    if unknown.any():
        first = int(unknown.argmax())
        raise AnnotationError(
            f"{path}: annotation id {annotation_ids[first]} is of {what} {wanted[first]}, which the file does not list"
            f" ({int(unknown.sum())} such annotations)"
        )
    return at
