"""Hand the jobs of a command line to hydra/launcher=slurm and local, and note what became of each."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paa.checks import UserError
from paa.commands.train import REFUSED, Jobs
from paa.launch import sweep
from paa.log import print_line


def launch(jobs: Jobs, node: Mapping[str, Any], folder: Path, every: Sequence[Sequence[str]]) -> None:
    """Run the jobs with these overrides as the launcher's `node` says; `folder` is the sweep's.

    A request that SLURM refuses ends the process with one line and exit code 2.
    """
    settings = sweep.settings_of(node)
    assert settings is not None
    launched = [jobs.named(overrides) for overrides in every]
    if not launched:
        return
    try:
        found = sweep.run(folder.name, jobs.command, settings, launched, print_line)
    except UserError as error:
        print_line(f"paa.train: {error}", sys.stderr)
        raise SystemExit(REFUSED) from None
    if found is None:
        jobs.detached = True
        return
    for job, row in zip(launched, found, strict=True):
        log = f"; log: {row.log}" if row.log is not None else ""
        if row.kind == "failed":
            jobs.note_failure(job.overrides, f"{row.status.detail}{log}")
        elif row.kind != "done":
            # A job without an error and records has left the run to another process: fine if it was told to skip.
            expected = row.kind == "interrupted" and job.config["lock"]["if_locked"] == "skip"
            jobs.note_end(job.overrides, f"{row.status}{log}", expected)
