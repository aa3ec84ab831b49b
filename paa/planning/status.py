"""`python -m paa.runs status TABLE`: the status of each row of a table, and the commands for what is missing."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from paa.experiment.identify import missing
from paa.launch.status import QUEUED
from paa.launch.status import Row as Submitted
from paa.launch.status import rows as submitted
from paa.planning.rows import Row, Rows
from paa.store.paths import RunPaths
from paa.store.status import KINDS, RunStatus, run_status

HEADER = ("row", "seed", "id", "state")

_HANDLED = ("done", "running", "pending")
"""Kinds of a row that nothing needs to be done for."""


def report(rows: Rows, config_dir: str | None = None) -> tuple[list[list[str]], str]:
    """Return a line of HEADER for each row and seed, and the text below: counts, and commands for what is missing.

    A row that cannot be composed has the reason as its state.
    """
    found = list(zip(rows.all, _statuses(rows.all), strict=True))
    common = set.intersection(*(set(row.settings) for row in rows.all)) if rows.all else set()
    body = []
    for row, status in found:
        what = [row.name, *(word for word in row.settings if word not in common)]
        body.append([" ".join(what), str(row.seed), row.train_id, str(status)])
    body += [[name, "", "", f"invalid: {problem}"] for name, problem in rows.problems.items()]
    trainings = len({row.train_id for row in rows.all})
    shared = f" ({trainings} trainings)" if trainings < len(found) else ""
    below = [f"{len(found)} requested{shared}: {counted([status.kind for _, status in found])}"]
    todo = _commands([row for row, status in found if status.kind not in _HANDLED], config_dir)
    if todo:
        below += ["Run only what is missing with", *(f"  {one}" for one in todo)]
    return body, "\n".join(below)


def counted(kinds: Sequence[str]) -> str:
    """Count statuses by their kind: "30 done, 1 running, 11 missing"."""
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in KINDS if kind in kinds)


def _statuses(rows: Sequence[Row]) -> list[RunStatus]:
    """Return the status of each row: "pending" if SLURM's queue has jobs for everything that is missing.

    SLURM is asked only if something was submitted.
    """
    found = [
        run_status(row.paths, [e.eval_id for e in row.evaluations], row.config["schedule"]["steps"]) for row in rows
    ]
    jobs: dict[RunPaths, list[Submitted]] = defaultdict(list)
    for runs_dir in {row.paths.runs_dir for row, one in zip(rows, found, strict=True) if one.kind not in _HANDLED}:
        for job in submitted(runs_dir):
            if job.kind in QUEUED:
                jobs[RunPaths(runs_dir, job.entry.train_id)].append(job)
    for number, row in enumerate(rows):
        queued = jobs[row.paths]
        left = {one.eval_id for one in missing(row.paths, row.evaluations)}
        if found[number].kind not in _HANDLED and queued and left <= {e for job in queued for e in job.entry.evals}:
            slurm = ", ".join(f"{job.id} {job.status.detail}" for job in queued)
            found[number] = replace(found[number], kind="pending", detail=slurm)
    return found


def _commands(left: Sequence[Row], config_dir: str | None) -> list[str]:
    """Return the commands that run the rows `left`; rows that lack the same seeds share one."""
    program = ["python", "-m", "paa.train", *(["--config-dir", config_dir] if config_dir else []), "-m"]
    seeds: dict[tuple[tuple[str, ...], str, str], list[int]] = defaultdict(list)
    for row in left:
        seeds[row.settings, row.table, row.name].append(row.seed)
    names: dict[tuple[tuple[str, ...], str, tuple[int, ...]], list[str]] = defaultdict(list)
    for (settings, table, name), numbers in seeds.items():
        names[settings, table, tuple(numbers)].append(name)
    return [
        shlex.join([*program, f"{table}={','.join(rows)}", *settings, f"seed={','.join(map(str, numbers))}"])
        for (settings, table, numbers), rows in names.items()
    ]
