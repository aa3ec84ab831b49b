"""The trace of an attempt that failed: one small file in the run's folder, which the next attempt takes away."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass

from paa import files
from paa.store.paths import RunPaths
from paa.store.process import Process


@dataclass(frozen=True)
class Failure:
    """Why the last attempt at a run failed: `reason`, in words; `at`, Unix time; `by`, the process that made it."""

    reason: str
    at: float
    by: str

    @property
    def line(self) -> str:
        """The last line of the reason."""
        lines = self.reason.strip().splitlines()
        return lines[-1].strip() if lines else "it did not say why"


def write(paths: RunPaths, reason: str) -> None:
    """Leaves the trace. A full disk, which may be why it failed, is no further error."""
    with suppress(OSError):
        files.write_json(paths.failure, asdict(Failure(reason, time.time(), str(Process.current()))))


def clear(paths: RunPaths) -> None:
    """Takes the trace away: the run is tried again."""
    paths.failure.unlink(missing_ok=True)


def read(paths: RunPaths) -> Failure | None:
    """The trace; None where the last attempt went well, was stopped, or goes on."""
    try:
        value = files.read_json(paths.failure)
        return Failure(str(value["reason"]), float(value["at"]), str(value["by"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return Failure(f"{paths.failure} cannot be read", 0.0, "?")
