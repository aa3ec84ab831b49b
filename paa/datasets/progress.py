"""Progress on stderr of work on the data that takes its time."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_PATIENCE = 2.0  # seconds after which a line is printed where stderr is no terminal: most data sets are done by then


def track(items: Iterable[T], what: str, total: int, *, quiet: bool = False) -> Iterator[T]:
    """Yield `items`, of which there are `total`, with a progress bar on a terminal and one line elsewhere."""
    if not quiet and sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as bar

        yield from bar(items, what, total, console=Console(stderr=True), transient=True)
        return
    began, quiet = time.monotonic(), quiet or not total
    for done, item in enumerate(items, start=1):
        yield item
        if not quiet and (passed := time.monotonic() - began) > _PATIENCE:
            print(f"{what}: about {passed / done * (total - done):.0f} s", file=sys.stderr, flush=True)
            quiet = True
