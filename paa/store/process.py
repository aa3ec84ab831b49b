"""Which process: named so that another one can tell whether it still lives, where that can be told."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Places in /proc/<pid>/stat, counted from the state on.
_STATE, _THREADS, _STARTED = 0, 17, 19


@dataclass(frozen=True)
class Process:
    """A process of some machine.

    host     its name, for people.
    boot     the kernel's boot id, or None where the system has none: it tells machines, and their restarts, apart.
    space    the process-id namespace (containers), or None.
    pid      process id within that namespace.
    started  start time in clock ticks since boot: tells a process from a later one with the same id. None if unknown.
    """

    host: str = "?"
    boot: str | None = None
    space: str | None = None
    pid: int = 0
    started: int | None = None

    @classmethod
    def current(cls) -> Process:
        """This process."""
        fields = _stat(os.getpid())
        return cls(*_here(), os.getpid(), int(fields[_STARTED]) if fields else None)

    @classmethod
    def parse(cls, value: Any) -> Process:
        """What `asdict` gave; fields that are missing or foreign stay unknown."""
        known = value if isinstance(value, dict) else {}
        return cls(**{name: known[name] for name in cls.__dataclass_fields__ if name in known})

    @property
    def local(self) -> bool:
        """Whether it is, or was, a process whose id means something here."""
        return self.boot is not None and (self.host, self.boot, self.space) == _here()

    @property
    def dead(self) -> bool:
        """Whether it surely does not run any more. False where that cannot be known: another machine or namespace."""
        if not self.local or not isinstance(self.pid, int) or self.pid <= 0:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # it runs, as somebody else
            return False
        fields = _stat(self.pid)
        if fields is None:
            return False
        # Killed, but not yet waited for by its parent. Its first thread may be gone while others still end a write.
        over = fields[_STATE] in "ZX" and int(fields[_THREADS]) <= 1
        return over or (self.started is not None and int(fields[_STARTED]) != self.started)

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}" if self.pid else "an unknown process"


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _here() -> tuple[str, str | None, str | None]:
    """Host, boot ID and process-ID namespace of this process."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = None
    return socket.gethostname(), _read("/proc/sys/kernel/random/boot_id"), space


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat from the state on: the command before them, in brackets, may hold anything."""
    text = _read(f"/proc/{pid}/stat")
    return text.rpartition(")")[2].split() if text else None
