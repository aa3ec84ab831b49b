"""The jobs of a sweep on their way to a launcher: those that are finished stay, and of equal ones the first goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from paa.commands.train import failure, note_failure
from paa.engine.distributed import process_group
from paa.experiment.evaluation import wanted
from paa.experiment.job import Job, JobFailed
from paa.log import print_line

Launch = Callable[[Sequence[Sequence[str]], int], Sequence[Any]]
"""The overrides of some jobs and the number of the first -> what Hydra calls a JobReturn for each."""


def run_all(jobs: Sequence[Job], launch: Launch, most: int | None = None) -> list[Any]:
    """Gives `launch` the jobs that are not finished, `most` at a time; says of the others that they are.

    Jobs of one training that ask for other evaluations all go: it is trained once, and then evaluated. Of jobs that ask
    for the very same the first goes. What comes back as failed is noted for the end of the command.
    """
    group = process_group()
    done = group.run_on_main(lambda: [job.finished for job in jobs])
    first: dict[tuple[str, ...], Job] = {}
    for job, finished in zip(jobs, done, strict=True):
        if finished:
            job.experiment.run(print_line)
        else:
            first.setdefault(_asked(job), job)
    left = list(first.values())
    every: list[Any] = []
    size = most or max(len(left), 1)
    for start in range(0, len(left), size):
        batch = left[start : start + size]
        returned = launch([job.overrides for job in batch], start)
        for job, one in zip(batch, returned, strict=False):
            _note(job, one)
        every += returned
    for job, finished in zip(jobs, done, strict=True):
        before = first.get(_asked(job))
        if not finished and before is not None and before is not job:
            _follow(job, before)
    return every


def _asked(job: Job) -> tuple[str, ...]:
    evaluations = wanted(job.experiment.parts.config, job.experiment.identity.digests)
    return (job.train_id, *(one.eval_id for one in evaluations))


def _note(job: Job, returned: Any) -> None:
    """Notes what a launcher of Hydra's own kind caught; those of this process have noted it themselves."""
    if getattr(getattr(returned, "status", None), "name", "") == "FAILED" and failure(job.overrides) is None:
        error = returned._return_value
        text = str(error).splitlines()[0] if str(error) else ""
        note_failure(job.overrides, str(error) if isinstance(error, JobFailed) else f"{type(error).__name__}: {text}")


def _follow(job: Job, before: Job) -> None:
    """What became of a job is what became of the equal one before it."""
    reason = failure(before.overrides)
    if reason is not None:
        note_failure(job.overrides, reason)
    elif process_group().run_on_main(lambda: job.finished):
        job.experiment.run(print_line)
