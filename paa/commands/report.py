"""The table that ends a command: what each job came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from paa.planning.dry_run import differing

if TYPE_CHECKING:
    from paa.experiment.experiment import Experiment

COLUMNS = ("AP", "AP50", "AP75", "APS", "APM", "APL")
NONE_ASKED = "finished; no evaluation was asked for"


def table(
    jobs: Sequence[tuple[Sequence[str], Experiment]], failed: Mapping[int, str], ends: Mapping[int, str] | None = None
) -> str:
    """A row for each evaluation of each job; a job that failed, by its number, or has none says so.

    ends  what to say of jobs that are not finished and have not failed, by number.
    """
    what_of = differing([overrides for overrides, _ in jobs])
    rows = [["run", "what", "split", "voting", *COLUMNS, "IoU error"]]
    for number, (_, experiment) in enumerate(jobs):
        name, what = experiment.identity.train_id, what_of[number]
        records = experiment.records()
        for record in records:
            numbers = ["-" if record.numbers[c] is None else f"{record.numbers[c]:.1f}" for c in COLUMNS]
            error = "-" if record.iou_error is None else f"{record.iou_error:.3f}"
            rows.append([name, what, record.split, "on" if record.voting else "off", *numbers, error])
        if number in failed or not records:
            end = NONE_ASKED if experiment.finished else (ends or {}).get(number, "not finished")
            rows.append([name, what, f"failed: {failed[number]}" if number in failed else end])
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of even width; numbers to the right. A row shorter than the head ends in free text."""
    full = [row for row in rows if len(row) == len(rows[0])]
    widths = [
        max(len(row[i]) for row in rows if i < len(row) and (row in full or i < len(row) - 1))
        for i in range(len(rows[0]))
    ]
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[i]) if i < 4 else cell.rjust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
