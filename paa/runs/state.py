"""Where a run stands: done, running or stopped."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from paa.runs.claim import Holder, holder
from paa.runs.paths import RunPaths

_STALE_S = 120.0


@dataclass(frozen=True)
class State:
    """`kind` is "done", "running" or "stopped"; `step`, the last that was logged; `detail` for people."""

    kind: str
    step: int | None
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} ({self.detail})" if self.detail else self.kind


def state(paths: RunPaths) -> State:
    """The state of a run's folder as it lies there.

    A holder on another machine is taken to live while its claim file is younger than two minutes; that compares the
    file's time with this machine's clock, which is good enough to look at and decides nothing.
    """
    if paths.finished:
        details = ["converted"] if paths.converted else []
        details += [] if paths.weights.exists() else ["weights removed"]
        return State("done", None, ", ".join(details))
    step = last_step(paths.metrics)
    current = holder(paths.claim)
    if current is not None and not current.gone and _fresh(paths, current):
        at = f", step {step}" if step is not None else ""
        return State("running", step, f"{current}{at}")
    resumable = paths.checkpoints.is_dir() and any(paths.checkpoints.glob("*.pt"))
    at = f"at step {step}, " if step is not None else ""
    return State("stopped", step, at + ("resumes when asked for again" if resumable else "begins anew when asked for"))


def _fresh(paths: RunPaths, current: Holder) -> bool:
    if current.process.local:
        return True
    try:
        changed = (paths.claim / f"{current.generation:06d}.json").stat().st_mtime
    except OSError:
        return False
    return time.time() - changed < _STALE_S


def last_step(metrics: Path) -> int | None:
    """The step of the last whole line of a metrics file; None where there is none."""
    try:
        with metrics.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - (1 << 16)))
            lines = file.read().splitlines()
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
