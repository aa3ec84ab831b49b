"""Compute once what several jobs of a command line have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """Remembers results by name and plain value.

    It lives as long as the check of one command line: files may change later, and a job that starts looks again.
    """

    def __init__(self) -> None:
        self._results: dict[str, Any] = {}

    def __call__(self, name: str, value: Any, compute: Callable[[], T]) -> T:
        """Return what `compute` gives, called once for each `name` and plain `value`; errors are not remembered."""
        key = f"{name} {value!r}"
        if key not in self._results:
            self._results[key] = compute()
        result: T = self._results[key]
        return result
