"""Base class of every error that a user can fix, and range checks of constructor arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import MISSING, field, fields
from functools import partial
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


def number(
    name: str,
    value: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    kind: Any = (int, float),
) -> float:
    """`value` if it is a finite number, of type `kind`, with low <= value <= high and above < value < below."""
    what = "an integer" if kind is int else "a number"
    left = f" from {low}" if low is not None else (f" above {above}" if above is not None else "")
    right = f" to {high}" if high is not None else (f" below {below}" if below is not None else "")
    typed = isinstance(value, kind) and not isinstance(value, bool)
    if not typed or not math.isfinite(value):
        text = isinstance(value, str) and value.lstrip("-").replace(".", "", 1).isdecimal()
        hint = (
            f"; it is text here; of a variable, with these quotes: {name}='${{oc.decode:${{oc.env:NAME}}}}'"
            if text
            else ""
        )
        raise OutOfRange(name, f"={value}: must be {what}{left}{right}{hint}")
    inside = (low is None or value >= low) and (high is None or value <= high)
    if not inside or (above is not None and value <= above) or (below is not None and value >= below):
        raise OutOfRange(name, f"={value} is out of range: must be {what}{left}{right}")
    return value


def integer(name: str, value: Any, *, low: int | None = None, high: int | None = None) -> int:
    """`value` if it is an integer with low <= value <= high."""
    return int(number(name, value, low=low, high=high, kind=int))


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


def text(name: str, value: Any, what: str = "a text or null") -> str:
    """`value` if it is a text that is not blank; `what` tells what it must be."""
    if not isinstance(value, str) or not value.strip():
        raise OutOfRange(name, f"={value}: must be {what}")
    return value


def choice(name: str, value: Any, choices: Collection[Any]) -> Any:
    """`value` if it is one of `choices`."""
    if value not in choices:
        raise OutOfRange(name, f"={value}: must be one of {', '.join(map(str, choices))}")
    return value


def checked(check: Callable[..., Any], default: Any = MISSING, **limits: Any) -> Any:
    """Return a field of a `Checked` dataclass: its value must pass `check(name, value, **limits)`.

    None passes, too, where it is the default.
    """
    return field(default=default, metadata={"check": partial(check, **limits)})


class Checked:
    """Base of a dataclass whose constructor checks the fields declared by `checked`, in their order."""

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            if "check" in each.metadata and not (value is None and each.default is None):
                each.metadata["check"](each.name, value)
