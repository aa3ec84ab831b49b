"""Watch, cancel and resubmit submitted runs, from any shell and long after the submitting process has ended."""

from __future__ import annotations

import shutil
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from paa.checks import UserError
from paa.launch import queue
from paa.launch.status import HEADER, lines, look, rows, select, submitted, summary
from paa.store.frame import UnreadableRecord
from paa.store.text_table import show

_CLEAR = "\x1b[2J\x1b[H"

WATCH_S = 5.0
"""Seconds between two looks; more where a look takes long."""

MOST = 40
"""Rows of a table that is not on a terminal."""

KINDS = {"failed": ("failed",), "missing": ("missing", "cancelled", "interrupted")}
"""What `resubmit` takes, and the kinds of rows that it means."""


class NothingToDo(UserError):  # noqa: N818
    """No submitted run matches. The message says what would."""


def watch(runs_dir: Path, every_s: float = WATCH_S, sleep: Callable[[float], None] = time.sleep) -> None:
    """Show the submitted runs until none is in the queue: in place on a terminal, elsewhere one table a change.

    NothingToDo where there is no SLURM to ask.
    """
    before: object = None
    while True:
        started = time.monotonic()
        with warnings.catch_warnings():
            if before is not None:  # it was said at the first look
                warnings.simplefilter("ignore", UnreadableRecord)
            found = rows(runs_dir)
        if not found:
            print(
                f"Nothing was submitted from {runs_dir}. Submit with: python -m paa.train -m ... hydra/launcher=slurm"
            )
            return
        terminal = sys.stdout.isatty()
        now = summary(found), lines(found, runs_dir, shutil.get_terminal_size().lines - 4 if terminal else MOST)
        if now != before:
            print(f"{_CLEAR if terminal else ''}{time.strftime('%H:%M:%S')}  {now[0]}")
            if now[1]:
                show(HEADER, now[1])
            sys.stdout.flush()
            before = now
        if not any(row.active for row in found):
            return
        if not queue.available():
            raise NothingToDo("watch: squeue is not installed; run this on a machine of the cluster")
        sleep(max(every_s, 10 * (time.monotonic() - started)))


def cancel(runs_dir: Path, what: str) -> None:
    """Cancel every job of the runs of a sweep, a table or a run ID, whichever sweep submitted it. They save first.

    NothingToDo; NoAnswer of SLURM.
    """
    every = look(submitted(runs_dir), runs_dir)
    meant = {row.entry.identity for row in select(every, what)}
    if not meant:
        names = sorted({row.sweep.name for row in every})
        known = f"sweeps: {', '.join(names[-5:])}" if names else "nothing was submitted"
        raise NothingToDo(f"{what}: not the name of a sweep or table, nor a prefix of one submitted run's ID; {known}")
    ids = {row.id for row in every if row.entry.identity in meant and row.active and row.id is not None}
    if not ids:
        raise NothingToDo(f"{what}: none of its {len(meant)} runs is in the queue")
    queue.cancel(ids)
    count = f"{len(ids)} job{'s' * (len(ids) != 1)}"
    print(f"cancelled {count}; each saves a checkpoint first. Resume with: python -m paa.runs resubmit missing")


def resubmit(runs_dir: Path, kind: str) -> None:
    """Submit again what is "failed", or "missing": cancelled, lost, never submitted. NothingToDo, NotSubmitted."""
    from paa.launch.submit import submit

    found = [row for row in rows(runs_dir) if row.kind in KINDS[kind]]
    if not found:
        raise NothingToDo(f"resubmit {kind}: no submitted run is {' or '.join(KINDS[kind])}")
    for sweep in {row.sweep.folder: row.sweep for row in found}.values():
        submit(sweep, sorted(row.entry.number for row in found if row.sweep.folder == sweep.folder))
