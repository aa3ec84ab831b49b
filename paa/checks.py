"""Base class of every error that a user can fix, and range checks of constructor arguments."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any


class UserError(Exception):
    """An error that a user can fix. The message is one line: what is wrong and what would be right.

    Commands print the message of a UserError or an OSError; any other exception is a bug and shows its traceback.
    """


class OutOfRange(UserError, ValueError):  # noqa: N818
    """An argument is out of range: argument `name`, `problem` (what is wrong; what would be right)."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}{problem}")
        self.name, self.problem = name, problem


def _describe(kind: str, low: float | None, high: float | None, above: float | None, below: float | None) -> str:
    left = f"from {low}" if low is not None else (f"above {above}" if above is not None else "")
    right = f"to {high}" if high is not None else (f"below {below}" if below is not None else "")
    return " ".join(part for part in (kind, left, right) if part)


def number(
    name: str,
    value: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """`value` if it is a finite number with low <= value <= high and above < value < below."""
    right = _describe("a number", low, high, above, below)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise OutOfRange(name, f"={value}: must be {right}")
    if (low is not None and value < low) or (high is not None and value > high):
        raise OutOfRange(name, f"={value} is out of range: must be {right}")
    if (above is not None and value <= above) or (below is not None and value >= below):
        raise OutOfRange(name, f"={value} is out of range: must be {right}")
    return value


def integer(name: str, value: Any, *, low: int | None = None, high: int | None = None) -> int:
    """`value` if it is an integer with low <= value <= high."""
    right = _describe("an integer", low, high, None, None)
    if isinstance(value, bool) or not isinstance(value, int):
        raise OutOfRange(name, f"={value}: must be {right}")
    if (low is not None and value < low) or (high is not None and value > high):
        raise OutOfRange(name, f"={value} is out of range: must be {right}")
    return value


def sequence(name: str, value: Any, what: str, length: int | None = None) -> Sequence[Any]:
    """`value` if it is a list or tuple, of `length` items where that is given; `what` tells what it must be."""
    if not isinstance(value, list | tuple) or (length is not None and len(value) != length):
        raise OutOfRange(name, f"={value}: must be {what}")
    return value


def flag(name: str, value: Any) -> bool:
    """`value` if it is true or false."""
    if not isinstance(value, bool):
        raise OutOfRange(name, f"={value}: must be true or false")
    return value


def choice(name: str, value: Any, choices: Collection[Any]) -> Any:
    """`value` if it is one of `choices`."""
    if value not in choices:
        raise OutOfRange(name, f"={value}: must be one of {', '.join(map(str, choices))}")
    return value
