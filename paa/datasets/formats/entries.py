"""Read the entries of one of COCO's lists, and leave out the wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from paa.datasets.findings import Finding

T = TypeVar("T")
Entries = list[dict[str, Any]]

WHERE, PROBLEM = "\0where", "\0problem"
"""Keys of entries that were made from another format: how messages about them begin, and what is wrong with those
that cannot be used.
"""


class Unusable(Exception):  # noqa: N818
    """An entry cannot be used: its kind of finding, where {} is what it is an entry of, and the end of the line."""

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(problem)
        self.kind, self.problem = kind, problem


def usable(
    entries: Entries, read: Callable[[dict[str, Any]], T], where: str, what: str
) -> tuple[list[T], list[Finding]]:
    """Return what `read` makes of the entries for which it does not raise Unusable, and findings of the others.

    where  what messages begin with, the file; `what` names an entry: "image", "annotation" or "category".
    """
    good, found = [], []
    for number, entry in enumerate(entries, start=1):
        try:
            good.append(read(entry))
        except Unusable as error:
            name = f"number {number} of the list" if entry.get("id") is None else f"id {entry['id']}"
            place = entry.get(WHERE) or f"{where}: {what} {name}"
            problem = entry.get(PROBLEM) or error.problem
            found.append(Finding(error.kind.format(what), f"{place} {problem}"))
    return good, found


def integer(entry: dict[str, Any], key: str, *, default: int | None = None, low: int = -(2**63)) -> int:
    """Return `key` of an entry, a whole number written as a float too; `default` where there is none."""
    value = entry.get(key)
    if type(value) is int and low <= value < 2**63:  # nearly always, and COCO has a million of them
        return value
    if value is None:
        value = default
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int | np.integer) or abs(value) >= 2**63:
        raise _unfit(entry, key, "an integer of at most 64 bits")
    if value < low:
        raise _unfit(entry, key, f"an integer from {low}")
    return int(value)


def number(entry: dict[str, Any], key: str, default: float) -> float:
    """Return `key` of an entry, `default` where there is none."""
    value = entry.get(key)
    if value is None:
        return default
    if not _is_finite(value):
        raise _unfit(entry, key, "a finite number")
    return float(value)


def box(entry: dict[str, Any], key: str) -> Sequence[float]:
    """Return `key` of an entry, [x, y, w, h]."""
    value = entry.get(key)
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != 4 or not all(map(_is_finite, value)):
        raise _unfit(entry, key, "four finite numbers [x, y, w, h]")
    return value  # type: ignore[return-value]


def text(entry: dict[str, Any], key: str) -> str:
    """Return `key` of an entry, an integer as its digits. It is neither empty nor unfit to stand in a file name."""
    value = entry.get(key)
    if isinstance(value, int):
        value = str(value)
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise _unfit(entry, key, "text")
    return value


def _is_finite(value: object) -> bool:
    """Whether it is a number that a float can hold; comparisons with NaN are false."""
    if type(value) is float:  # nearly always
        return -1e300 < value < 1e300
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(abs(value) < 1e300)


def _unfit(entry: dict[str, Any], key: str, what: str) -> Unusable:
    stated = "" if entry.get(key) is None else repr(entry[key])
    problem = f'has "{key}" {stated[:77] + "..." if len(stated) > 80 else stated}' if stated else f'has no "{key}"'
    return Unusable(f'{{}}s without a usable "{key}"', f"{problem}: must be {what}")
