"""The table that ends a command: the evaluations of each job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from paa.planning.dry_run import differing
from paa.store.settings import NUMBERS
from paa.store.text_table import aligned

if TYPE_CHECKING:
    from paa.experiment.experiment import Experiment

HEADER = ("run", "what", "split", "voting", *NUMBERS, "IoU error")

NONE_REQUESTED = "finished; no evaluation was requested"


def table(
    jobs: Sequence[tuple[Sequence[str], Experiment]], failed: Mapping[int, str], ends: Mapping[int, str] | None = None
) -> str:
    """Return a row for each evaluation of each job, and one for each job that failed or has none.

    failed  {number of the job: reason}.
    ends    {number: text} for jobs that are not finished and have not failed.
    """
    rows = []
    for number, ((_, experiment), what) in enumerate(zip(jobs, differing([one for one, _ in jobs]), strict=True)):
        name, records = experiment.identity.train_id, experiment.records()
        for record in records:
            numbers = ["-" if record.numbers[c] is None else f"{record.numbers[c]:.1f}" for c in NUMBERS]
            error = "-" if record.iou_error is None else f"{record.iou_error:.3f}"
            rows.append([name, what, record.split, "on" if record.voting else "off", *numbers, error])
        if number in failed:
            rows.append([name, what, f"failed: {failed[number]}"])
        elif not records:
            end = NONE_REQUESTED if experiment.finished else (ends or {}).get(number, "not finished")
            rows.append([name, what, end])
    return aligned(HEADER, rows, right=[column not in HEADER[:4] for column in HEADER]).rstrip("\n")
