"""`plan=true`, the dry run: what each job would still do, how long that takes on this machine and how much disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paa.datasets.formats.sources import Shapes
from paa.experiment.experiment import Experiment
from paa.experiment.identify import missing
from paa.experiment.memo import Memo
from paa.planning.estimate import Estimate, estimate
from paa.planning.status import counted
from paa.planning.units import hours, size, span
from paa.store.status import RunStatus, run_status
from paa.store.text_table import aligned

HEADER = ("id", "state", "hours", "disk", "hours from", "what")


@dataclass(frozen=True)
class Planned:
    """A job, its status, and what is left of it; `repeated`: an earlier job does all that is left."""

    job: Experiment
    status: RunStatus
    estimate: Estimate
    repeated: bool = False


def plan(jobs: Sequence[Experiment], shared: Memo | None = None) -> str:
    """Return a line for each job (ID, state, hours, disk) and the totals. Trains and writes nothing."""
    every = planned(jobs, shared or Memo())
    overrides = [[one for one in job.overrides if not one.startswith("plan=")] for job in jobs]
    rows = []
    for one, what in zip(every, differing(overrides), strict=True):
        left, state = one.estimate, "as above" if one.repeated else str(one.status)
        source = f"{left.runs} run{'s' * (left.runs != 1)}" if left.seconds else ""
        rows.append([one.job.train_id, state, hours(left.seconds), size(left.kept), source, what])
    return "\n".join([aligned(HEADER, rows, right=[False] * len(HEADER)), *_totals(every), ""])


def planned(jobs: Sequence[Experiment], shared: Memo) -> list[Planned]:
    """Return what is left of each job; work that several jobs share counts with the first of them."""
    trained: set[str] = set()
    evaluated: set[tuple[str, str]] = set()
    found = []
    for job in jobs:
        paths, parts, every = job.paths, job.parts, job.evaluations
        status = run_status(paths, [one.eval_id for one in every], parts.schedule.steps)
        left = [one for one in missing(paths, every) if (job.train_id, one.eval_id) not in evaluated]
        steps = 0 if paths.finished or job.train_id in trained else parts.schedule.steps - (status.step or 0)
        trained.add(job.train_id)
        evaluated |= {(job.train_id, one.eval_id) for one in left}
        repeated = status.kind != "done" and not steps and not left
        found.append(Planned(job, status, estimate(parts, steps, left, shared), repeated))
    return found


def differing(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Return the overrides of each job that not all of them have, as text; "defaults" if there are none."""
    common = set.intersection(*map(set, jobs)) if len(jobs) > 1 else set()
    return [" ".join(one for one in overrides if one not in common) or "defaults" for overrides in jobs]


def _totals(every: Sequence[Planned]) -> list[str]:
    trainings = {one.job.train_id: one.status.kind for one in reversed(every)}
    of = "" if len(trainings) == len(every) else f" of {len(trainings)} trainings"
    lines = [f"{len(every)} job{'s' * (len(every) != 1)}{of}: {counted(list(trainings.values()))}"]
    left = [one.estimate for one in every if one.estimate.seconds != 0.0]
    if not left:
        return [*lines, "Nothing is left to do."]
    seconds = [one.seconds for one in left if one.seconds is not None]
    missing = len(left) - len(seconds)
    known = [f"about {span(sum(seconds))} on this machine"] if seconds else []
    hours = " and ".join([*known, *([f"unknown hours of {missing} job{'s' * (missing != 1)}"] if missing else [])])
    disk = f"{size(sum(one.kept for one in left))} of disk"
    scratch = f"{size(max(one.scratch for one in left))} more while a run trains"
    lines.append(f"In total {hours}; {disk}, and {scratch}.")
    if missing:
        lines.append("?: no comparable run (same network, image size and batch size) has finished on this machine.")
    sources = [one.job.parts.source for one in every if one.estimate.seconds != 0.0]
    shapes = [s for s in sources if isinstance(s, Shapes) and not (s.root / s.spec.name).exists()]
    sizes = {str(s.root): sum(s.count(split) for split in s.splits) * s.spec.size**2 * 1.25 for s in shapes}
    lines += [f"The embedded data are drawn first: {size(count)} in {root}." for root, count in sorted(sizes.items())]
    return lines
