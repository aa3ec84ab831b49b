"""Where a run stands: done, running, failed or stopped."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from paa import files
from paa.store import failure
from paa.store.lock import LockOwner, lock_owner
from paa.store.paths import RunPaths

_STALE_S = 120.0


@dataclass(frozen=True)
class State:
    """`kind` is "done", "running", "failed" or "stopped"; `step`, the last that was logged; `detail` for people.

    by       the process that runs it, or made the attempt that failed.
    resumes  whether there is a checkpoint to go on from.
    """

    kind: str
    step: int | None
    detail: str
    by: str = ""
    resumes: bool = False

    def __str__(self) -> str:
        return f"{self.kind} ({self.detail})" if self.detail else self.kind


def state(paths: RunPaths) -> State:
    """The state of a run's folder as it lies there.

    An owner on another machine is taken to live while its lock file is younger than two minutes; that compares the
    file's time with this machine's clock, which is good enough to look at and decides nothing.
    """
    if paths.finished:
        details = ["converted"] if paths.converted else []
        details += [] if paths.weights.exists() else ["weights removed"]
        return State("done", None, ", ".join(details))
    step = last_step(paths.metrics)
    current = live_owner(paths)
    if current is not None:
        at = f", step {step}" if step is not None else ""
        return State("running", step, f"{current}{at}", str(current), resumes=True)
    resumes = paths.checkpoints.is_dir() and any(paths.checkpoints.glob("*.pt"))
    failed = failure.read(paths)
    if failed is not None:
        return State("failed", step, failed.line, failed.by, resumes)
    at = f"at step {step}, " if step is not None else ""
    again = "resumes when asked for again" if resumes else "begins anew when asked for"
    return State("stopped", step, at + again, resumes=resumes)


def live_owner(paths: RunPaths) -> LockOwner | None:
    """Who works on the run now, as far as `state` can tell."""
    current = lock_owner(paths.lock)
    return current if current is not None and not current.gone and _fresh(paths, current) else None


def time_left(paths: RunPaths) -> float | None:
    """Return the seconds that a running training has left, by its own estimate; None before its first log line.

    Unix time has no time zone, so the training may run on any machine.
    """
    try:
        said = files.read_json(paths.progress)
        return max(float(said["eta_s"]) - (time.time() - float(said["time"])), 0.0)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _tail(path: Path) -> bytes:
    """The end of a file."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - (1 << 16)))
        return file.read()


def _fresh(paths: RunPaths, current: LockOwner) -> bool:
    if current.process.local:
        return True
    try:
        changed = (paths.lock / f"{current.generation:06d}.json").stat().st_mtime
    except OSError:
        return False
    return time.time() - changed < _STALE_S


def last_step(metrics: Path) -> int | None:
    """The step of the last whole line of a metrics file; None where there is none."""
    try:
        lines = _tail(metrics).splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            step = json.loads(line)["step"]
        except (ValueError, TypeError, KeyError):
            continue  # torn, or the first line of what was read
        if isinstance(step, int):
            return step
    return None
