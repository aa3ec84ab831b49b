"""The entries of one of COCO's lists as columns: one array for each key, where what is no such value has a mark.

Whole numbers are marked by UNFIT, floats by NaN and text by "".
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import numpy as np

Entries = list[dict[str, Any]]
Columns = dict[str, np.ndarray]

UNFIT = -(2**63)
"""In place of what is no integer of 64 bits."""

_ARRAYS = (list, tuple, np.ndarray)


def values(entries: Entries, key: str, default: Any = None) -> list[Any]:
    """Return `key` of each entry, `default` where it is missing or null."""
    return [default if (value := entry.get(key)) is None else value for entry in entries]


def integers(of: Sequence[Any]) -> np.ndarray:
    """Return [n] int64. A whole number may be written as a float."""
    if set(map(type, of)) == {int}:  # nearly always, and COCO has a million of them
        with suppress(OverflowError):
            return np.array(of, dtype=np.int64)
    return np.array([_integer(value) for value in of], dtype=np.int64)


def numbers(of: Sequence[Any]) -> np.ndarray:
    """Return [n] float64. Numbers whose squares are infinite are marked, too."""
    if not set(map(type, of)) <= {int, float}:
        of = [value if _is_number(value) else np.nan for value in of]
    try:
        found = np.array(of, dtype=np.float64)
    except OverflowError:  # an integer of hundreds of digits
        found = np.array([value if abs(value) < 1e150 else np.nan for value in of], dtype=np.float64)
    return np.where(np.abs(found) < 1e150, found, np.nan)


def boxes(of: Sequence[Any]) -> np.ndarray:
    """Return [n, 4] float64."""
    fours = [value if isinstance(value, _ARRAYS) and len(value) == 4 else [np.nan] * 4 for value in of]
    return numbers(list(chain.from_iterable(fours))).reshape(-1, 4)


def texts(of: Sequence[Any]) -> np.ndarray:
    """Return [n] str, of an integer its digits. Blanks and text that cannot stand in a file name are marked."""
    words = [str(value) if isinstance(value, int) else value for value in of]
    fit = [isinstance(word, str) and bool(word.strip()) and "\0" not in word for word in words]
    return np.array([word if good else "" for word, good in zip(words, fit, strict=True)], dtype=np.str_)


def unusable(column: np.ndarray) -> np.ndarray:
    """Return [n] bool: what is marked, of boxes if one of their numbers is."""
    if column.dtype.kind == "f":
        return np.isnan(column).any(axis=tuple(range(1, column.ndim)))
    return column == (UNFIT if column.dtype.kind == "i" else "")


def _integer(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return int(value) if isinstance(value, int | np.integer) and abs(value) < 2**63 else UNFIT


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
