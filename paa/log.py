"""Messages of the package: the standard logger "paa", shown on the console and kept in the log file of a run.

    from paa.log import log
    log.info("%s  resumes at step %d", name, step)

`warning` adds "warning: ", `error` goes to stderr, and `debug` goes to the run's file only. Writing never raises: a
full disk or a closed terminal loses a line, and not a training.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

log = logging.getLogger("paa")
"""The logger of the package."""


def open_streams() -> None:
    """Make stdin, stdout and stderr usable where the parent closed them, and able to print any text.

    A closed one would be None, and its number would go to the next file that is opened. What a terminal's encoding
    lacks is printed as an escape.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_line(text: str, stream: TextIO | None = None) -> None:
    """Print `text` to `stream` (stdout) and flush it; where it cannot be written it is lost."""
    stream = stream or sys.stdout
    with suppress(ValueError, BlockingIOError):  # closed, or not ready
        try:
            print(text, file=stream, flush=True)
        except BlockingIOError:
            raise
        except OSError:  # the reader has gone (`| head`, or a `| tee` that Ctrl-C ended), or the disk is full
            nowhere = os.open(os.devnull, os.O_WRONLY)  # or the flush at the program's end would fail
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


@contextmanager
def console(main: bool = True) -> Iterator[None]:
    """Show messages as plain lines while the block runs; of a process that is not the main one, errors only."""
    handler, propagate = _Console(logging.INFO if main else logging.ERROR), log.propagate
    handler.setFormatter(_Formatter("%(prefix)s%(message)s"))
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    log.propagate = False  # Hydra's handler of the root logger would show each line again
    try:
        yield
    finally:
        log.propagate = propagate
        log.removeHandler(handler)


@contextmanager
def run_log(path: Path) -> Iterator[None]:
    """Append all messages to `path` with their times while the block runs. OSError where it cannot be opened."""
    handler = _File(path, encoding="utf-8")
    handler.setFormatter(_Formatter("%(asctime)s  %(prefix)s%(message)s", "%Y-%m-%d %H:%M:%S"))
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        with suppress(OSError):
            handler.close()


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.prefix = "warning: " if record.levelno == logging.WARNING else ""
        return super().format(record)


class _Console(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print_line(self.format(record), sys.stderr if record.levelno >= logging.ERROR else sys.stdout)


class _File(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Lose the line: the disk is full."""
