"""Between Hydra's launchers and `paa.launch`: which jobs, and what is told of them at the end."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paa.checks import OutOfRange
from paa.commands.train import REFUSED, checked_job, command, note_end, note_failure, note_left
from paa.config.errors import ConfigError
from paa.experiment.job import Job
from paa.launch import sweep as driver
from paa.launch.ledger import unused
from paa.launch.settings import LocalSettings
from paa.launch.status import Status
from paa.log import print_line
from paa.store.errors import RunError


def launch(kind: str, node: Mapping[str, Any], folder: Path, every: Sequence[Sequence[str]]) -> None:
    """Runs the jobs with these overrides elsewhere; notes what `finish` is to tell of each."""
    jobs = [_job(overrides) for overrides in every]
    settings = driver.settings_of({"_target_": kind, **node})
    assert settings is not None
    if not jobs:
        return
    folder = unused(folder.absolute())
    if isinstance(settings, LocalSettings):
        from paa.launch.local import run_here

        note = driver.note(folder, command(), settings, jobs, Path.cwd())
        _tell(jobs, run_here(note, jobs, settings.n, print_line))
        return
    from paa.launch.submit import Refused

    try:
        driver.check_folder(folder, jobs)
        found = driver.run(folder, command(), settings, jobs, print_line)
    except (ConfigError, Refused, OutOfRange, RunError) as error:
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


def _tell(jobs: Sequence[Job], found: Mapping[int, Status]) -> None:
    for number, job in enumerate(jobs):
        status = found[number]
        log = f"; log: {status.log}" if status.log is not None else ""
        if status.kind == "failed":
            note_failure(job.overrides, f"{status.detail}{log}")
        elif status.kind != "done":
            # It may be left to another process where that was asked for; one that waits ends with its records.
            well = status.kind == "ended" and job.config["lock"]["if_locked"] == "skip"
            note_end(job.overrides, f"{status}{log}", well)
