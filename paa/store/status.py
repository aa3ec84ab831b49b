"""The status of a run: one vocabulary for every listing, dry run, table and launcher."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from paa import files
from paa.store import failure
from paa.store.lock import LockOwner, lock_owner
from paa.store.paths import RunPaths

KINDS = {
    "done": "training finished, and every requested evaluation has its record",
    "trained": "training finished, evaluations missing",
    "running": "a live process holds the lock",
    "pending": "in SLURM's queue",
    "interrupted": "started, not finished, and no process holds the lock; resumes when requested again",
    "failed": "the last attempt raised an error",
    "cancelled": "its SLURM job was cancelled",
    "missing": "never started",
    "unknown": "SLURM does not answer",
}
"""{kind: meaning}. `run_status` returns all but "pending", "cancelled" and "unknown", which only SLURM knows."""

_STALE_S = 120.0


@dataclass(frozen=True)
class RunStatus:
    """The status of a run.

    kind          one of KINDS.
    step          running: the last logged step. Otherwise the step of the newest checkpoint, from which the run
                  resumes; None if there is none, so that it starts at 0.
    steps         all steps of the training, None if unknown.
    host          the machine and process that runs it or made the failed attempt.
    detail        last line of the error, or what is missing: "1 of 2 evaluations missing".
    seconds_left  of a running training, by its own estimate; None before its first logged step.
    """

    kind: str
    step: int | None = None
    steps: int | None = None
    host: str = ""
    detail: str = ""
    seconds_left: float | None = None

    def __str__(self) -> str:
        """Format as "running at step 20 of 30 on node7, process 17, 0:42 left" or "failed: out of memory"."""
        text = self.kind
        if self.step is not None:
            text += f" at step {self.step}" + (f" of {self.steps}" if self.steps is not None else "")
        if self.kind == "running" and self.host:
            text += f" on {self.host}"
        if self.seconds_left is not None:
            from paa.engine.progress import duration

            text += f", {duration(self.seconds_left)} left"
        return f"{text}: {self.detail}" if self.detail else text


def run_status(paths: RunPaths, eval_ids: Sequence[str] = (), steps: int | None = None) -> RunStatus:
    """Return the status of a run from the files in its folder.

    eval_ids  evaluations that are requested: their records must exist for "done".
    steps     of the whole training, if the caller knows them; a running training also says so itself.

    The owner of a lock on another machine counts as alive while its file is younger than two minutes, by this machine's
    clock: good enough for display, and no decision depends on it.
    """
    detail = ""
    if paths.finished:
        steps = None
        left = sum(not paths.evaluation(eval_id).exists() for eval_id in eval_ids)
        details = [f"{left} of {len(eval_ids)} evaluations missing"] if left else []
        details += ["converted"] if paths.converted else []
        details += [] if paths.weights.exists() else ["weights removed"]
        detail = ", ".join(details)
        if not left:
            return RunStatus("done", detail=detail)
    elif not paths.folder.is_dir():
        return RunStatus("missing", steps=steps)
    owner = live_owner(paths)
    if owner is not None:
        progress = {} if paths.finished else _progress(paths)
        eta = progress.get("eta_s")
        left_s = None if eta is None else max(eta - (time.time() - progress["time"]), 0.0)
        return RunStatus("running", progress.get("step"), progress.get("steps", steps), str(owner), detail, left_s)
    step = None if paths.finished else _checkpoint_step(paths)
    failed = failure.read(paths)
    if failed is not None:
        return RunStatus("failed", step, steps, failed.by, failed.line)
    return RunStatus("trained" if paths.finished else "interrupted", step, steps, detail=detail)


def live_owner(paths: RunPaths) -> LockOwner | None:
    """Return the process that holds the run's lock now, as far as `run_status` can know; None if there is none."""
    owner = lock_owner(paths.lock)
    if owner is None or owner.gone:
        return None
    if owner.process.local:
        return owner
    try:
        changed = (paths.lock / f"{owner.generation:06d}.json").stat().st_mtime
    except OSError:
        return None
    return owner if time.time() - changed < _STALE_S else None


def _progress(paths: RunPaths) -> dict[str, Any]:
    """What a running training last wrote about itself (`paa.engine.progress.TrainProgress`); {} before that."""
    try:
        value = files.read_json(paths.progress)
        return {"step": int(value["step"]), "steps": int(value["steps"])} | {
            name: float(value[name]) for name in ("time", "eta_s")
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _checkpoint_step(paths: RunPaths) -> int | None:
    """The step of the newest checkpoint, by its name."""
    steps = [int(path.stem) for path in paths.checkpoints.glob("*.pt") if re.fullmatch(r"\d+", path.stem)]
    return max(steps, default=None)
