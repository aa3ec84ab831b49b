"""Between Hydra's launchers and `paa.launch`: which jobs, and what is told of them at the end."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paa.checks import UserError
from paa.commands.train import REFUSED, checked_job, command, note_end, note_failure, note_left
from paa.experiment.job import Job
from paa.launch import sweep as driver
from paa.launch.status import Row
from paa.log import print_line


def launch(kind: str, node: Mapping[str, Any], folder: Path, every: Sequence[Sequence[str]]) -> None:
    """Runs the jobs with these overrides elsewhere; notes what `finish` is to tell of each."""
    jobs = [_job(overrides) for overrides in every]
    settings = driver.settings_of({"_target_": kind, **node})
    assert settings is not None
    if not jobs:
        return
    try:
        found = driver.run(folder.name, command(), settings, jobs, print_line)
    except UserError as error:
        print_line(f"paa.train: {error}", sys.stderr)
        raise SystemExit(REFUSED) from None
    if found is None:
        note_left()
    else:
        _tell(jobs, found)


def _job(overrides: Sequence[str]) -> Job:
    job = checked_job(overrides)
    if job is None:
        raise RuntimeError(f"{' '.join(overrides)}: no job of the command line that was checked")
    return job


def _tell(jobs: Sequence[Job], found: Sequence[Row]) -> None:
    for job, row in zip(jobs, found, strict=True):
        log = f"; log: {row.log}" if row.log is not None else ""
        if row.kind == "failed":
            note_failure(job.overrides, f"{row.status.detail}{log}")
        elif row.kind != "done":
            # A job without an error and records has left the run to another process: fine if it was told to skip.
            well = row.kind == "interrupted" and job.config["lock"]["if_locked"] == "skip"
            note_end(job.overrides, f"{row.status}{log}", well)
