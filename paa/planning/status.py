"""`python -m paa.runs table1 recipe=mini seed=0,1,2`: where each row of a table stands, how to run what is missing."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paa.engine.progress import duration
from paa.launch.status import QUEUED
from paa.launch.status import Row as Submitted
from paa.launch.status import rows as submitted
from paa.planning.rows import Row, Rows
from paa.store import failure
from paa.store.paths import RunPaths
from paa.store.state import live_owner, state, time_left

KINDS = ("done", "running", "pending", "stopped", "failed", "missing")
"""Where a row may stand. A row is done when its training and all of its evaluations have their records; it is pending
where nobody works on it, but SLURM will: jobs in its queue ask for all that is missing.
"""

HEADER = ("row", "seed", "id", "state")


@dataclass(frozen=True)
class Standing:
    """Where a row with one seed stands: `kind`, one of KINDS, and `text`, the same for people."""

    row: Row
    kind: str
    text: str


def standing(row: Row) -> Standing:
    """Where a row stands, from what lies in its run's folder."""
    paths = row.paths
    left = [one for one in row.evaluations if not paths.evaluation(one.eval_id).exists()]
    if paths.finished and not left:
        return Standing(row, "done", "done")
    if not paths.folder.is_dir():
        return Standing(row, "missing", "missing")
    if paths.finished:
        return _evaluations(row, len(left))
    now = state(paths)
    at = f" at step {now.step} of {row.config['schedule']['steps']}" if now.step is not None else ""
    if now.kind == "running":
        seconds = time_left(paths)
        rest = "" if seconds is None else f", {duration(seconds)} left"
        return Standing(row, "running", f"running{at} on {now.by}{rest}")
    why = f": {now.detail}" if now.kind == "failed" else ""
    return Standing(row, now.kind, f"{now.kind}{at or ' before its first step'}{why}")


def queued(found: Sequence[Standing]) -> list[Standing]:
    """The same, with the rows that SLURM has in its queue as pending. Nothing is asked where nothing was submitted."""
    jobs: dict[RunPaths, list[Submitted]] = defaultdict(list)
    for runs_dir in {one.row.paths.runs_dir for one in found if one.kind not in ("done", "running")}:
        for job in submitted(runs_dir):
            if job.kind in QUEUED:
                jobs[RunPaths(runs_dir, job.entry.train_id)].append(job)
    return [one if one.kind in ("done", "running") else _queued(one, jobs[one.row.paths]) for one in found]


def _queued(one: Standing, jobs: Sequence[Submitted]) -> Standing:
    paths = one.row.paths
    asked = {name for job in jobs for name in job.entry.evals}
    left = {e.eval_id for e in one.row.evaluations if not paths.evaluation(e.eval_id).exists()}
    if not jobs or not left <= asked:
        return one
    before = "" if one.text == "missing" else f"{one.text}; "
    slurm = ", ".join(f"{job.id} {job.job}" for job in jobs)
    return Standing(one.row, "pending", f"{before}in SLURM's queue: {slurm}")


def _evaluations(row: Row, left: int) -> Standing:
    """Where a row stands whose training is done and so many evaluations are not."""
    what = f"trained, {left} of {len(row.evaluations)} evaluations missing"
    what += "" if row.paths.weights.exists() else ", and its weights were removed"
    by, failed = live_owner(row.paths), failure.read(row.paths)
    if by is not None:
        return Standing(row, "running", f"{what}: running on {by}")
    if failed is not None:
        return Standing(row, "failed", f"{what}: failed: {failed.line}")
    return Standing(row, "missing", what)


def lines(found: Sequence[Standing], problems: Mapping[str, str]) -> list[list[str]]:
    """A line for each row and seed, as HEADER has it; a row that cannot be composed says why."""
    common = set.intersection(*(set(one.row.overrides) for one in found)) if found else set()
    body = []
    for one in found:
        own = [w for w in one.row.overrides if w not in common and not w.startswith(("seed=", f"{one.row.table}="))]
        body.append([" ".join([one.row.name, *own]), str(one.row.seed), one.row.train_id, one.text])
    return body + [[name, "", "", f"cannot be: {problem}"] for name, problem in problems.items()]


def summary(found: Sequence[Standing]) -> str:
    """ "42 wanted (39 trainings): 30 done, 1 running, 11 missing"; rows of one configuration share a training."""
    kinds, trainings = [one.kind for one in found], len({one.row.train_id for one in found})
    shared = f" ({trainings} trainings)" if trainings < len(found) else ""
    return f"{len(found)} wanted{shared}: " + ", ".join(
        f"{kinds.count(kind)} {kind}" for kind in KINDS if kind in kinds
    )


def commands(found: Sequence[Standing], config_dir: str | None = None) -> list[str]:
    """The commands that run just what is neither done nor on its way; rows that lack the same seeds share one."""
    program = ["python", "-m", "paa.train", *(["--config-dir", config_dir] if config_dir else []), "-m"]
    lacking: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for one in found:
        if one.kind not in ("done", "running", "pending"):
            rest = tuple(w for w in one.row.overrides if not w.startswith(("seed=", f"{one.row.table}=")))
            lacking.setdefault(rest, {}).setdefault(one.row.name, []).append(one.row.seed)
    table, every = found[0].row.table if found else "", []
    for rest, seeds_of in lacking.items():
        together: dict[tuple[int, ...], list[str]] = {}
        for name, seeds in seeds_of.items():
            together.setdefault(tuple(seeds), []).append(name)
        for numbers, names in together.items():
            words = [f"{table}={','.join(names)}", *rest, f"seed={','.join(map(str, numbers))}"]
            every.append(shlex.join([*program, *words]))
    return every


def report(rows: Rows, config_dir: str | None = None) -> tuple[list[list[str]], str]:
    """The lines of the table, and what stands below it: the count, and the commands for what is missing."""
    found = queued([standing(row) for row in rows.all])
    below, todo = [summary(found)], commands(found, config_dir)
    if todo:
        below += ["Just what is missing is run by", *(f"  {command}" for command in todo)]
    return lines(found, rows.problems), "\n".join(below)
