"""What one does with submitted runs, from any shell and long after the driver: watch, cancel, submit again."""

from __future__ import annotations

import shutil
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from paa.launch import queue
from paa.launch.view import HEADER, Row, lines, rows, select, submissions
from paa.store.errors import RunError
from paa.store.frame import UnreadableRecord
from paa.store.text_table import show

WATCH_S = 5.0
"""Seconds between two looks; more where a look takes long."""

_MOST = 40  # rows shown where there is no terminal to tell how many fit

KINDS = {"failed": ("failed",), "missing": ("missing", "cancelled", "ended")}
"""What `resubmit` takes, and the statuses that it means."""


class NothingToDo(RunError):  # noqa: N818
    """No submitted run is meant. The message says what would be."""


def watch(runs_dir: Path, every_s: float = WATCH_S, sleep: Callable[[float], None] = time.sleep) -> None:
    """Shows what goes on until nothing does. On a terminal in place; elsewhere a new table for each change."""
    before: object = None
    while True:
        started = time.monotonic()
        with warnings.catch_warnings():
            if before is not None:  # it was said at the first look
                warnings.simplefilter("ignore", UnreadableRecord)
            found = rows(runs_dir)
        if not found:
            print(f"Nothing was submitted from {runs_dir}. python -m paa.train -m ... hydra/launcher=slurm does it.")
            return
        terminal = sys.stdout.isatty()
        most = max(5, shutil.get_terminal_size().lines - 4) if terminal else _MOST
        head, body = lines(found, runs_dir, most)
        if (head, body) != before:
            if terminal:
                sys.stdout.write("\x1b[2J\x1b[H")
            print(f"{time.strftime('%H:%M:%S')}  {head}")
            if body:
                show(HEADER, body)
            sys.stdout.flush()
            before = head, body
        if not any(row.status.active for row in found):
            return
        if not queue.available():
            raise NothingToDo("watch: there is no squeue here; say it on a machine of the cluster")
        sleep(max(every_s, 10 * (time.monotonic() - started)))


def cancel(runs_dir: Path, what: str) -> None:
    """Cancels every job of a sweep, table or run, also of several that are one run. They save where they stand.
    NothingToDo.
    """
    found = _meant(submissions(runs_dir), what)
    ids = {row.status.id for row in found if row.status.active and row.status.id is not None}
    if not ids:
        count = len({row.identity for row in found})
        raise NothingToDo(f"cancel {what}: none of its {count} runs is in the queue")
    try:
        queue.cancel(ids)
    except queue.NoAnswer as error:
        raise NothingToDo(f"cancel {what}: {error}") from error
    print(f"cancelled {len(ids)} job{'s' * (len(ids) != 1)}; they save first; python -m paa.runs resubmit missing")


def resubmit(runs_dir: Path, kind: str) -> None:
    """Submits again what failed, or what is missing: cancelled, lost, never submitted. NothingToDo."""
    from paa.launch.submit import Refused, submit

    found = [row for row in rows(runs_dir) if row.status.kind in KINDS[kind]]
    if not found:
        raise NothingToDo(f"resubmit {kind}: no submitted run is {' or '.join(KINDS[kind])}")
    problems = []
    for sweep in {row.sweep.folder: row.sweep for row in found}.values():
        numbers = sorted(row.entry.number for row in found if row.sweep.folder == sweep.folder)
        try:
            submit(sweep, numbers, print)
        except Refused as error:
            problems.append(f"{sweep.name}: {error}")
    if problems:
        raise NothingToDo("\n".join(problems))


def _meant(every: list[Row], what: str) -> list[Row]:
    found = select(every, what)
    if not found:
        names = sorted({row.sweep.name for row in every})
        known = f"; sweeps: {', '.join(names[-5:])}" if names else "; nothing was submitted"
        raise NothingToDo(f"{what}: no sweep, no table and not the beginning of one submitted run's id{known}")
    return found
