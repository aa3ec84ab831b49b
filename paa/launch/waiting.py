"""The driver after the submission: waits until every job has come to an end, and says what it sees."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from paa.launch.ledger import Entry, Sweep
from paa.launch.status import Status, statuses

SETTLE_S = 20.0
"""Seconds that a job must look ended before that is believed: one whose node failed looks so, and is put back."""

MOST_S = 60.0
"""The longest pause between two looks at a large sweep."""


def wait(
    sweep: Sweep,
    runs_dir: Path,
    say: Callable[[str], None],
    poll_s: float,
    settle_s: float = SETTLE_S,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> dict[int, Status]:
    """{number: status} when nothing of the sweep goes on any more. SLURM may be away for a while: that ends nothing."""
    ended: dict[int, float] = {}
    last: dict[int, Status] = {}
    open_entries: Sequence[Entry] = sweep.entries
    told = ""
    while True:
        started = clock()
        last |= statuses(sweep, runs_dir, open_entries)
        now = clock()
        for entry in open_entries:
            number = entry.number
            if last[number].active:
                ended.pop(number, None)
            else:
                ended.setdefault(number, now)
        open_entries = [e for e in open_entries if not _over(last[e.number], ended.get(e.number), now, settle_s)]
        text = summary(last)
        if text != told:
            say(text)
            told = text
        if not open_entries:
            return last
        # No more than a twentieth of the time goes into asking.
        sleep(min(max(poll_s, 20 * (now - started)), max(MOST_S, poll_s)))


def _over(status: Status, since: float | None, now: float, settle_s: float) -> bool:
    return status.kind == "done" or (since is not None and now - since >= settle_s)


def summary(found: dict[int, Status]) -> str:
    """ "3 of 28 done, 2 running, 23 pending"."""
    counts = Counter(status.kind for status in found.values())
    done = counts.pop("done", 0)
    order = ("running", "pending", "failed", "cancelled", "ended", "missing", "unknown")
    rest = [f"{counts[kind]} {kind}" for kind in order if counts[kind]]
    return f"{done} of {len(found)} done" + "".join(f", {part}" for part in rest)
