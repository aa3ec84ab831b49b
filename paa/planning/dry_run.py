"""`plan=true`: what a command line would do, how long that would take on this machine and how much disk; no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paa import checks
from paa.datasets.formats.sources import Shapes
from paa.experiment.evaluation import Wanted, missing, wanted
from paa.experiment.job import Job
from paa.experiment.memo import Shared
from paa.planning.estimate import Estimate, Estimator
from paa.planning.units import hours, size, span
from paa.store.state import state
from paa.store.text_table import aligned

_NOTHING = Estimate(0.0, 0.0, 0.0, 0)


def without_plan(config: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """A configuration as a run has it, without `plan`, and what that key said. OutOfRange."""
    value = config.get("plan", False)
    return {key: node for key, node in config.items() if key != "plan"}, checks.flag("plan", value)


@dataclass(frozen=True)
class Planned:
    """What is left of a job. `state` is in words; `kind` is one of done, running, stopped, failed, missing and, where
    the training is done, evaluations.
    """

    job: Job
    kind: str
    state: str
    estimate: Estimate


def plan(jobs: Sequence[Job], shared: Shared | None = None) -> str:
    """A line for each job - id, state, hours, disk - and the totals. Trains nothing and writes nothing."""
    every = planned(jobs, shared or Shared())
    overrides = [[one for one in job.overrides if not one.startswith("plan=")] for job in jobs]
    rows = [
        [p.job.train_id, p.state, hours(p.estimate.seconds), size(p.estimate.kept), _source(p.estimate), what]
        for p, what in zip(every, differing(overrides), strict=True)
    ]
    table = aligned(["id", "state", "hours", "disk", "hours from", "what"], rows)
    return table + "\n" + "\n".join(_totals(every)) + "\n"


def planned(jobs: Sequence[Job], shared: Shared) -> list[Planned]:
    """What is left of each job; a training or evaluation that several ask for counts with the first."""
    estimators: dict[str, Estimator] = {}
    trained: set[str] = set()
    evaluated: set[tuple[str, str]] = set()
    found = []
    for job in jobs:
        folder = str(job.config["runs_dir"])
        estimator = estimators.setdefault(folder, Estimator(Path(folder), shared))
        paths, parts = job.experiment.identity.paths, job.experiment.parts
        left = missing(paths, wanted(parts.config, job.experiment.identity.digests))
        kind, text, step = _state(job, left)
        new = [one for one in left if (job.train_id, one.eval_id) not in evaluated]
        steps = 0 if paths.finished or job.train_id in trained else max(parts.schedule.steps - step, 0)
        if kind != "done" and not steps and not new:
            text = "as above"
        trained.add(job.train_id)
        evaluated |= {(job.train_id, one.eval_id) for one in left}
        estimate = estimator.of(parts, steps, new) if steps or new else _NOTHING
        found.append(Planned(job, kind, text, estimate))
    return found


def _state(job: Job, left: Sequence[Wanted]) -> tuple[str, str, int]:
    """Kind, words, and the step that a training goes on at."""
    paths, steps = job.experiment.identity.paths, job.experiment.parts.schedule.steps
    if paths.finished:
        if not left:
            return "done", "done", 0
        return "evaluations", f"trained, {len(left)} evaluation{'s' * (len(left) != 1)} missing", 0
    if not paths.folder.is_dir():
        return "missing", "missing", 0
    now = state(paths)
    at = f" at step {now.step} of {steps}" if now.step is not None else " before its first step"
    text = {"running": f" ({now.by})", "failed": f": {now.detail}"}.get(now.kind, "")
    return now.kind, f"{now.kind}{at}{text}", (now.step or 0) if now.resumes else 0


def _totals(every: Sequence[Planned]) -> list[str]:
    trainings = {p.job.train_id: p.kind for p in reversed(every)}
    kinds = list(trainings.values())
    words = {"evaluations": "with evaluations missing"}
    order = ("done", "running", "stopped", "failed", "evaluations", "missing")
    counted = [f"{kinds.count(kind)} {words.get(kind, kind)}" for kind in order if kind in kinds]
    jobs = f"{len(every)} job{'s' * (len(every) != 1)}"
    of = "" if len(trainings) == len(every) else f" of {len(trainings)} trainings"
    lines = [f"{jobs}{of}: {', '.join(counted)}"]
    left = [p for p in every if p.estimate.seconds != 0.0]
    if not left:
        return [*lines, "Nothing is left to do."]
    seconds = [p.estimate.seconds for p in left if p.estimate.seconds is not None]
    unknown = len(left) - len(seconds)
    time = span(sum(seconds)) + (f" and {unknown} that cannot be told" if unknown else "")
    disk = f"{size(sum(p.estimate.kept for p in left))} of disk"
    scratch = f"{size(max(p.estimate.scratch for p in left))} more beside a run that trains"
    lines.append(f"In all about {time} on this machine, one after the other; {disk}, and {scratch}.")
    return [*lines, *_notes(left)]


def _notes(left: Sequence[Planned]) -> list[str]:
    notes = []
    if any(p.estimate.runs for p in left):
        notes.append("Hours from runs: the time that runs of the same network, images and batch took on this machine.")
    if any(not p.estimate.runs and p.estimate.seconds is not None for p in left):
        notes.append(
            "Hours from FLOPs: none such has ended here; those of the network at the speed that this machine shows in a"
            " convolution, so that the true time is longer, for small networks several times."
        )
    if any(p.estimate.seconds is None for p in left):
        notes.append("Where there is no number, no such run has ended here, and the device is not here to be measured.")
    for root, images, side in sorted(_undrawn(left)):
        notes.append(f"The embedded data are drawn first: {size(images * side * side * 1.25)} in {root}.")
    return notes


def _undrawn(left: Sequence[Planned]) -> set[tuple[str, int, int]]:
    sources = [p.job.experiment.parts.source for p in left]
    shapes = [s for s in sources if isinstance(s, Shapes) and not (s.root / s.spec.name).exists()]
    return {(str(s.root), sum(s.count(split) for split in s.splits), s.spec.size) for s in shapes}


def _source(estimate: Estimate) -> str:
    if estimate.seconds is None or not estimate.seconds:
        return ""
    return f"{estimate.runs} run{'s' * (estimate.runs != 1)}" if estimate.runs else "FLOPs"


def differing(jobs: Sequence[Sequence[str]]) -> list[str]:
    """The overrides of each job that not all of them have, as one text; "defaults" where there is none."""
    common = set.intersection(*map(set, jobs)) if len(jobs) > 1 else set()
    return [" ".join(one for one in overrides if one not in common) or "defaults" for overrides in jobs]
