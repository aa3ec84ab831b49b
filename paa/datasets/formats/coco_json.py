"""Read a COCO annotation file into lists of entries, and refuse what breaks it as a whole.

A refusal is one line: the file, what is wrong and what would be right.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from paa.datasets.errors import AnnotationError

_LAYOUT = 'a COCO file is an object with the lists "images", "annotations" and "categories"'

Lists = dict[str, list[dict[str, Any]]]
"""The lists "images", "annotations" and "categories" of a COCO file, as they stand there."""


def load(path: Path, *, labeled: bool = True) -> Lists:
    """Read the lists `images`, `annotations`, `categories` of a COCO file, checked for being lists of objects.

    labeled: whether the file must have annotations; without, a missing list counts as empty (COCO's test sets).
    Raises AnnotationError.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such file; expected COCO annotations (json)") from None
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        content = json.loads(text.decode("utf-8-sig"))  # a byte order mark, as some editors write, is no harm
    except (RecursionError, ValueError) as error:
        raise AnnotationError(f"{path}: not json ({error}); {_LAYOUT}") from None
    if not isinstance(content, dict):
        raise AnnotationError(f"{path}: a json {type(content).__name__}, where {_LAYOUT}")
    lists = {}
    for key in ("images", "annotations", "categories"):
        part = content.get(key, [] if key == "annotations" and not labeled else None)
        if not isinstance(part, list) or not all(isinstance(entry, dict) for entry in part):
            state = "missing" if part is None else "not a list of objects"
            raise AnnotationError(f'{path}: "{key}" is {state}; {_LAYOUT}')
        lists[key] = part
    return lists
