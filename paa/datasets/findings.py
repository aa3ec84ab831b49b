"""What is wrong with single images and boxes of a data set: found one kind after the other and counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ON_INVALID = ("error", "drop")
"""data.on_invalid: the first such thing refuses the data set, or all such images and boxes are left out and counted."""

FOLLOWING = "boxes of images that are left out"
"""The kind of what is not wrong itself."""


WHERE, PROBLEM = "\0where", "\0problem"
"""Keys of entries that were made from another format: how messages about them begin, and what is wrong with those
that a check marks.
"""


@dataclass(frozen=True)
class Finding:
    """One kind of thing that is wrong.

    kind   what, in the plural: "image files that are missing".
    count  how often.
    first  the first of them, in a line: file, id, what would be right.
    """

    kind: str
    count: int
    first: str


class Findings:
    """Findings in the order in which they were made."""

    def __init__(self, found: Sequence[Finding] = ()) -> None:
        self._found: dict[str, Finding] = {one.kind: one for one in found}

    def add(self, kind: str, count: int, first: str) -> None:
        """Count `count` more of a kind; `first` is kept for a new one."""
        before = self._found.get(kind)
        self._found[kind] = Finding(kind, count + (before.count if before else 0), before.first if before else first)

    @property
    def all(self) -> tuple[Finding, ...]:
        """Of every kind, in order."""
        return tuple(self._found.values())

    def refusal(self, remedy: str = "data.on_invalid=drop leaves them out") -> str | None:
        """Put the first finding in a line: what it is, how many more there are, what can be done; None without any."""
        wrong = [one for one in self.all if one.kind != FOLLOWING]
        if not wrong:
            return None
        alike, others = wrong[0].count - 1, sum(one.count for one in wrong[1:])
        more = [f"{alike} more such"] if alike else []
        more += [f"{others} other {'problem' if others == 1 else 'problems'}"] if others else []
        return f"{wrong[0].first} ({', '.join([*more, remedy])})"


def summarize(found: Sequence[Finding]) -> str:
    """ "2 image files that are missing, 1 boxes of ...": for the line that training begins with."""
    return ", ".join(f"{one.count} {one.kind}" for one in found)


class Rows:
    """Entries of one of COCO's lists, of which the wrong ones are marked, check after check, each entry once.

    kind   names an entry in messages: "image", "annotation" or "category".
    where  what messages begin with, the file.
    good   bool [n]: entries that no check has marked yet. Values of marked entries in later columns are stand-ins.
    """

    def __init__(self, where: str, kind: str, entries: Sequence[dict[str, Any]], found: Findings) -> None:
        self.where, self.kind, self.entries, self.found = where, kind, entries, found
        self.good = np.ones(len(entries), dtype=bool)

    def mark(self, kind: str, wrong: np.ndarray, problem: Callable[[int], str]) -> None:
        """Mark entries where `wrong` [n] is true; `problem(i)` ends the line about entry i, which begins with its id.

        What is marked already is not looked at again.
        """
        wrong = wrong & self.good
        if wrong.any():
            at = int(wrong.argmax())
            entry = self.entries[at]
            name = f"number {at + 1} of the list" if entry.get("id") is None else f"id {entry['id']}"
            name = entry.get(WHERE) or f"{self.where}: {self.kind} {name}"
            self.found.add(kind, int(wrong.sum()), f"{name} {entry.get(PROBLEM) or problem(at)}")
            self.good &= ~wrong

    def integers(self, key: str, default: int | None = None, low: int | None = None) -> np.ndarray:
        """Read `key` of every entry as int64, whole numbers written as floats too, `default` where there is none.

        Marks entries without it, with something else, or below `low`.
        """
        values = [entry.get(key) for entry in self.entries]
        if default is not None:
            values = [default if value is None else value for value in values]
        array, wrong = _integers(values)
        kind = f'{self.kind}s without a usable "{key}"'
        self.mark(kind, wrong, lambda i: _unfit(self.entries[i], key, "an integer of at most 64 bits"))
        if low is not None:
            self.mark(kind, array < low, lambda i: _unfit(self.entries[i], key, f"an integer from {low}"))
        return array

    def numbers(self, key: str, width: int, what: str, default: np.ndarray | None = None) -> np.ndarray:
        """`key` of every entry as finite float64 [n, width], rows of `default` where it is missing; marks others."""
        values = [entry.get(key) for entry in self.entries]
        if default is not None:
            values = [stand_in if value is None else value for value, stand_in in zip(values, default, strict=True)]
        array, wrong = _numbers(values, width)
        self.mark(f'{self.kind}s without a usable "{key}"', wrong, lambda i: _unfit(self.entries[i], key, what))
        return array

    def texts(self, key: str) -> np.ndarray:
        """`key` of every entry as an array of str, whole numbers as their digits; marks what is no text, is empty, or
        cannot stand in a file name.
        """
        values = [entry.get(key) for entry in self.entries]
        values = [str(value) if isinstance(value, int) else value for value in values]
        wrong = np.array([not isinstance(v, str) or not v.strip() or "\0" in v for v in values], dtype=bool)
        self.mark(f'{self.kind}s without a usable "{key}"', wrong, lambda i: _unfit(self.entries[i], key, "text"))
        return np.array(["" if bad else v for v, bad in zip(values, wrong, strict=True)], dtype=np.str_)


def _unfit(entry: dict[str, Any], key: str, what: str) -> str:
    if entry.get(key) is None:
        return f'has no "{key}": must be {what}'
    text = repr(entry[key])
    return f'has "{key}" {text if len(text) <= 80 else text[:77] + "..."}: must be {what}'


def _integers(values: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """int64 [n] and where a value is none (bool [n])."""
    try:
        array = np.array(values)
    except (ValueError, OverflowError):
        array = np.zeros(0, dtype=object)
    if array.dtype.kind == "i" and array.ndim == 1:
        return array.astype(np.int64), np.zeros(len(values), dtype=bool)
    wrong = np.array([not _is_integer(value) for value in values], dtype=bool)
    return np.array([0 if bad else int(v) for v, bad in zip(values, wrong, strict=True)], dtype=np.int64), wrong


def _is_integer(value: Any) -> bool:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return whole and abs(value) < 2**62


def _numbers(values: list[Any], width: int) -> tuple[np.ndarray, np.ndarray]:
    """float64 [n, width] and where a value is not so many finite numbers (bool [n]); those rows are zero."""
    array: np.ndarray
    try:
        array = np.array(values)
        usable = array.dtype.kind in "iuf" and array.size == len(values) * width
    except ValueError:
        usable = False
    if usable:
        array = array.astype(np.float64).reshape(len(values), width)
    else:
        rows = [value if isinstance(value, list) else [value] for value in values]
        array = np.array([[float(v) for v in r] if _are_numbers(r, width) else [np.nan] * width for r in rows])
        array = array.reshape(len(values), width)
    wrong = np.asarray(~np.isfinite(array).all(axis=1))
    array[wrong] = 0
    return array, wrong


def _are_numbers(row: list[Any], width: int) -> bool:
    if len(row) != width or any(isinstance(v, bool) or not isinstance(v, int | float) for v in row):
        return False
    return all(abs(v) < 1e300 for v in row)  # an integer beyond a float's range cannot be made one
