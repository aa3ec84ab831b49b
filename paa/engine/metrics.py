"""metrics.jsonl: one JSON object per line, in the order of the steps: losses and the numbers of evaluations."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from paa import files


class Metrics:
    """Append to `path`. Opened with the `mark` of a checkpoint, drop what an interrupted run wrote after it.

    A line that a kill tore in two is dropped likewise. `guard` is called before each write, that of opening included,
    and may raise; `observe` is called with each line once it is written.
    """

    def __init__(
        self,
        path: Path,
        mark: int = 0,
        ensure_lock_held: Callable[[], None] = lambda: None,
        observe: Callable[[dict[str, Any]], None] = lambda line: None,
    ) -> None:
        self.path, self.ensure_lock_held, self.observe = path, ensure_lock_held, observe
        ensure_lock_held()
        kept = read(path)[:mark]
        files.write_bytes(path, b"".join(_encode(line) for line in kept))
        self._lines = len(kept)
        self._file: TextIO = path.open("a", encoding="utf-8")

    def write(self, **values: Any) -> None:
        """Write one line; `step` must be among the values. Numbers that are not finite become null."""
        self.ensure_lock_held()
        line = _encode(values).decode()
        self._file.write(line)
        self._file.flush()
        self._lines += 1
        self.observe(json.loads(line))

    def mark(self) -> int:
        """Return the number of lines so far, which are on the disk when this returns."""
        os.fsync(self._file.fileno())
        return self._lines

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> list[dict[str, Any]]:
    """Return all whole lines of a metrics file; none where there is no file."""
    return [line for line in files.read_json_lines(path) if isinstance(line.get("step"), int)]


def _encode(values: dict[str, Any]) -> bytes:
    clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
    return (json.dumps(clean, separators=(",", ":")) + "\n").encode()
