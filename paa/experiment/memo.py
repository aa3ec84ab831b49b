"""What the jobs of one command line have in common, built or looked up once for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Thing = TypeVar("Thing")


class Shared:
    """Remembers what is made of equal things. For the checking of one command line and no longer: files that were
    looked at may have changed since, and a job that starts looks again.
    """

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def once(self, name: str, of: Any, make: Callable[[], Thing]) -> Thing:
        """What `make` gives, called once for each `name` and plain value `of`; what it raises is not remembered."""
        key = f"{name} {of!r}"
        if key not in self._made:
            self._made[key] = make()
        thing: Thing = self._made[key]
        return thing
