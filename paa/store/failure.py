"""Why the last attempt at a run failed: a small file in the run's folder, which the next attempt removes."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass

from paa import files
from paa.store.paths import RunPaths
from paa.store.process import Process


@dataclass(frozen=True)
class Failure:
    """A failed attempt: `reason`, its error or traceback; `at`, Unix time; `by`, the process that made it."""

    reason: str
    at: float
    by: str

    @property
    def line(self) -> str:
        """Return the last line of the reason."""
        lines = self.reason.strip().splitlines()
        return lines[-1].strip() if lines else "no reason was given"


def write(paths: RunPaths, reason: str) -> None:
    """Write the reason. A full disk, which may be why the attempt failed, raises no further error."""
    with suppress(OSError):
        files.write_json(paths.failure, asdict(Failure(reason, time.time(), str(Process.current()))))


def clear(paths: RunPaths) -> None:
    """Remove the file, when the run is tried again."""
    paths.failure.unlink(missing_ok=True)


def read(paths: RunPaths) -> Failure | None:
    """Return the failure of the last attempt; None if it finished, was interrupted, or is running."""
    try:
        value = files.read_json(paths.failure)
        return Failure(str(value["reason"]), float(value["at"]), str(value["by"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return Failure(f"{paths.failure} cannot be read", 0.0, "?")
