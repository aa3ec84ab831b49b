"""One line on stderr about work on the data that takes its time."""

from __future__ import annotations

import sys
import time

_PATIENCE = 2.0  # seconds in which nothing is said: most data sets are done by then


class Progress:
    """Says how far `total` pieces of `what` are: redrawn on a terminal, elsewhere once and at the end."""

    def __init__(self, what: str, total: int, *, quiet: bool = False) -> None:
        self.what, self.total, self.quiet = what, total, quiet
        self._live = sys.stderr.isatty()
        self._began = time.monotonic()
        self._shown: float | None = None

    def at(self, done: int) -> None:
        """`done` of all are done."""
        now = time.monotonic()
        if self.quiet or now - self._began < _PATIENCE or (self._shown and (not self._live or now - self._shown < 0.2)):
            return
        left = (now - self._began) / done * (self.total - done)
        line = f"{self.what}: {done} of {self.total}, {left:.0f} s left"
        print(f"\r{line}   " if self._live else line, end="" if self._live else "\n", file=sys.stderr, flush=True)
        self._shown = now

    def end(self) -> None:
        """Ends the line, if there is one."""
        if self._shown:
            took = f"{self.what}: took {time.monotonic() - self._began:.0f} s"
            print(f"\r{took}          " if self._live else took, file=sys.stderr, flush=True)
