"""`python -m paa.runs status TABLE`: the status of each row of a table, and the commands for what is missing."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from paa.launch.status import QUEUED
from paa.launch.status import Row as Submitted
from paa.launch.status import rows as submitted
from paa.planning.dry_run import counted
from paa.planning.rows import Row, Rows
from paa.store.paths import RunPaths
from paa.store.status import RunStatus, run_status

HEADER = ("row", "seed", "id", "state")

_HANDLED = ("done", "running", "pending")
"""Kinds of a row that nothing needs to be done for."""


@dataclass(frozen=True)
class RowStatus:
    """A row with one seed, and its status. It is pending if nothing runs it, but SLURM has jobs queued that ask for
    everything that is missing.
    """

    row: Row
    status: RunStatus

    @property
    def kind(self) -> str:
        """One of `paa.store.status.KINDS`."""
        return self.status.kind


def row_status(row: Row) -> RowStatus:
    """Return the status of a row from the files of its run."""
    return RowStatus(row, run_status(row.paths, [e.eval_id for e in row.evaluations], row.config["schedule"]["steps"]))


def queued(found: Sequence[RowStatus]) -> list[RowStatus]:
    """Mark the rows that wait in SLURM's queue as pending. SLURM is asked only if something was submitted."""
    jobs: dict[RunPaths, list[Submitted]] = defaultdict(list)
    for runs_dir in {one.row.paths.runs_dir for one in found if one.kind not in _HANDLED}:
        for job in submitted(runs_dir):
            if job.kind in QUEUED:
                jobs[RunPaths(runs_dir, job.entry.train_id)].append(job)
    return [one if one.kind in _HANDLED else _queued(one, jobs[one.row.paths]) for one in found]


def _queued(one: RowStatus, jobs: Sequence[Submitted]) -> RowStatus:
    requested = {name for job in jobs for name in job.entry.evals}
    left = {e.eval_id for e in one.row.evaluations if not one.row.paths.evaluation(e.eval_id).exists()}
    if not jobs or not left <= requested:
        return one
    slurm = ", ".join(f"{job.id} {job.job}" for job in jobs)
    return replace(one, status=replace(one.status, kind="pending", detail=slurm))


def lines(found: Sequence[RowStatus], problems: Mapping[str, str]) -> list[list[str]]:
    """Return a line of HEADER for each row and seed; a row that cannot be composed has the reason as its state."""
    common = set.intersection(*(set(one.row.overrides) for one in found)) if found else set()
    body = []
    for one in found:
        row = one.row
        own = [word for word in row.overrides if word not in common and word not in (f"seed={row.seed}", row.word)]
        body.append([" ".join([row.name, *own]), str(row.seed), row.train_id, str(one.status)])
    return body + [[name, "", "", f"invalid: {problem}"] for name, problem in problems.items()]


def summary(found: Sequence[RowStatus]) -> str:
    """Count rows: "42 requested (39 trainings): 30 done, 1 running, 11 missing"; equal rows share a training."""
    trainings = len({one.row.train_id for one in found})
    shared = f" ({trainings} trainings)" if trainings < len(found) else ""
    return f"{len(found)} requested{shared}: {counted([one.kind for one in found])}"


def commands(found: Sequence[RowStatus], config_dir: str | None = None) -> list[str]:
    """Return the commands that run only what is missing; rows that lack the same seeds share one."""
    program = ["python", "-m", "paa.train", *(["--config-dir", config_dir] if config_dir else []), "-m"]
    seeds: dict[tuple[tuple[str, ...], str, str], list[int]] = defaultdict(list)
    for one in found:
        if one.kind not in _HANDLED:
            row = one.row
            rest = tuple(w for w in row.overrides if w not in (f"seed={row.seed}", row.word))
            seeds[rest, row.table, row.name].append(row.seed)
    names: dict[tuple[tuple[str, ...], str, tuple[int, ...]], list[str]] = defaultdict(list)
    for (rest, table, name), numbers in seeds.items():
        names[rest, table, tuple(numbers)].append(name)
    return [
        shlex.join([*program, f"{table}={','.join(rows)}", *rest, f"seed={','.join(map(str, numbers))}"])
        for (rest, table, numbers), rows in names.items()
    ]


def report(rows: Rows, config_dir: str | None = None) -> tuple[list[list[str]], str]:
    """Return the lines of the table, and the text below it: counts, and the commands for what is missing."""
    found = queued([row_status(row) for row in rows.all])
    todo = commands(found, config_dir)
    below = [summary(found), *(["Run only what is missing with"] if todo else []), *(f"  {one}" for one in todo)]
    return lines(found, rows.problems), "\n".join(below)
