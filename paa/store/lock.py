"""One training per run ID: a lock between processes, on one machine or several that share a file system.

The lock is a folder of numbered files ("generations"); the highest one names the owner. No lock of the file system is
used, because NFS may not have any. A process takes the next generation by hard-linking a finished file to its name,
which succeeds for exactly one process. While the owner lives, one of its threads rewrites the file with a growing
heartbeat counter. Another process may take the next generation when the owner has released the lock or is dead:
immediately if the owner was a process of this machine that no longer exists, otherwise when the heartbeat has not
changed for `stale_s` on the waiting process's own clock (clocks of machines are never compared). An owner that lost the
lock while it was suspended finds out at its next `check`.

`check` and the write that follows it are two steps: a machine that freezes between them may still write afterward.
Such a write is complete, and contains what the same configuration always produces.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from paa import files
from paa.store.errors import LockLost
from paa.store.process import Process

_NAME = re.compile(r"(\d{6,})\.json")
_TRY = ".try-"
_NO_LINKS = {errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""Errors of file systems without hard links."""


class LockOwner:
    """The highest generation of a lock: `process`, `heartbeat`, `released`."""

    def __init__(self, generation: int, content: dict[str, Any], raw: bytes) -> None:
        self.generation, self.raw = generation, raw
        self.token: str | None = content.get("token")
        self.process = Process.parse(content.get("process"))
        self.heartbeat: int = content.get("heartbeat", 0)
        self.released = content.get("state") == "released"

    @property
    def gone(self) -> bool:
        """Whether the lock is free without waiting: released, or owned by a dead process of this machine."""
        return self.released or self.process.dead

    def __str__(self) -> str:
        return str(self.process)


def lock_owner(folder: Path) -> LockOwner | None:
    """Read the highest generation of the lock in `folder`; None if there is none.

    A file that cannot be read (its writer was killed on a file system without links) is an unknown owner.
    """
    while True:
        generations = _generations(folder)
        if not generations:
            return None
        try:
            raw = _path(folder, generations[-1]).read_bytes()
        except FileNotFoundError:  # removed since the listing: there are higher ones, or the folder is gone
            continue
        return LockOwner(generations[-1], _parse(raw), raw)


class RunLock(contextlib.AbstractContextManager["RunLock"]):
    """A held lock, made by `acquire`. A context manager: leaving the block releases it."""

    def __init__(self, folder: Path, generation: int, content: dict[str, Any], heartbeat_s: float) -> None:
        self.folder, self.generation = folder, generation
        self._content, self._heartbeat_s, self._pid = content, heartbeat_s, os.getpid()
        self._mutex, self._over, self._lost = threading.Lock(), threading.Event(), False
        self._thread = threading.Thread(target=self._send_heartbeats, name="lock heartbeat", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether another process took the lock, or its folder was removed."""
        if not self._lost:
            highest = _generations(self.folder)[-1:]
            own = _parse(_read(_path(self.folder, self.generation)))
            self._lost = highest != [self.generation] or own.get("token") != self._content["token"]
        return self._lost

    def check(self) -> None:
        """Raise LockLost if the lock is lost. Call it before every write to the run's folder."""
        if self.lost:
            now = lock_owner(self.folder)
            by = f"taken by {now}" if now and now.token != self._content["token"] else "its folder was removed"
            raise LockLost(f"{self.folder}: this process lost the lock ({by}); it stops without writing")

    def release(self) -> None:
        """Release the lock. Does nothing in a forked child, or when called again."""
        if os.getpid() != self._pid or self._over.is_set():
            return
        self._over.set()
        with self._mutex, contextlib.suppress(OSError):
            if not self.lost:
                self._write(state="released")

    def __exit__(self, *_: object) -> None:
        self.release()

    def _send_heartbeats(self) -> None:
        # A full disk or an unreachable server must not end the thread: the next heartbeat may succeed.
        while not self._over.wait(self._heartbeat_s):
            with self._mutex, contextlib.suppress(OSError):
                if self._over.is_set() or self.lost:
                    return
                self._write(heartbeat=self._content["heartbeat"] + 1)

    def _write(self, **changes: Any) -> None:
        self._content.update(changes)
        # Not synced to disk: after a power failure the machine has another boot ID, which frees the lock anyway.
        files.write_bytes(_path(self.folder, self.generation), files.json_bytes(self._content), durable=False)


def acquire(
    folder: Path,
    *,
    if_locked: str = "wait",
    heartbeat_s: float = 10.0,
    stale_s: float = 120.0,
    poll_s: float = 1.0,
    is_done: Callable[[], bool] = lambda: False,
    on_wait: Callable[[LockOwner], None] | None = None,
) -> RunLock | None:
    """Acquire the lock in `folder`, which is created; return None if `is_done`, or if locked and to be skipped.

    Ranges as in `paa.store.settings.LockSettings`.
    if_locked    "wait" until the owner releases the lock or is dead; "skip" returns None immediately.
    heartbeat_s  seconds between the heartbeats of the acquired lock.
    stale_s      seconds that an owner's heartbeat may not change: at least two heartbeats, and more than the file
                 system takes to show a change (NFS: up to 60 s by default).
    poll_s       seconds between two reads of the owner's file.
    is_done      whether nothing is left to do: called before anything is created, at every poll, and again after the
                 lock was acquired.
    on_wait      called once for each owner that is waited for.
    """
    seen = _Watch(poll_s)
    reported: int | None = None
    while not is_done():
        owner = lock_owner(folder)
        if owner is None or owner.gone or seen.still_for(owner) >= stale_s:
            lock = _take(folder, owner.generation if owner else 0, heartbeat_s)
            if lock is None:
                continue
            if is_done():
                lock.release()
                return None
            return lock
        if on_wait is not None and reported != owner.generation:
            on_wait(owner)
            reported = owner.generation
        if if_locked == "skip":
            return None
        time.sleep(poll_s)
    return None


class _Watch:
    """How long an owner's file has not changed.

    A single poll adds at most two poll intervals: when this process, or the file system, was frozen for minutes, that
    says nothing about the owner.
    """

    def __init__(self, poll_s: float) -> None:
        self._most, self._raw, self._still, self._at = 2 * poll_s, b"", 0.0, time.monotonic()

    def still_for(self, current: LockOwner) -> float:
        now = time.monotonic()
        if current.raw != self._raw:
            self._raw, self._still = current.raw, 0.0
        else:
            self._still += min(now - self._at, self._most)
        self._at = now
        return self._still


def _take(folder: Path, previous: int, heartbeat_s: float) -> RunLock | None:
    """Take the generation after `previous`; None if another process was faster."""
    folder.mkdir(parents=True, exist_ok=True)
    generation = previous + 1
    content = {
        "token": uuid.uuid4().hex,
        "state": "held",
        "heartbeat": 0,
        "acquired": time.time(),
        "process": asdict(Process.current()),
        "command": " ".join(sys.argv),
    }
    if not _create(folder, _path(folder, generation), files.json_bytes(content)):
        return None
    # A process that slept between looking and linking may have taken a number that others used and removed long ago.
    if _generations(folder)[-1:] != [generation]:
        _path(folder, generation).unlink(missing_ok=True)
        return None
    _tidy(folder, generation)
    return RunLock(folder, generation, content, heartbeat_s)


def _create(folder: Path, path: Path, data: bytes) -> bool:
    """Create `path` with `data` atomically; False if another process has created it."""
    attempt = folder / f"{_TRY}{uuid.uuid4().hex}"
    try:
        _write_new(attempt, data)
        os.link(attempt, path)
    except FileExistsError:
        return _read(path) == data  # over NFS, a link that was made may be reported as failed
    except FileNotFoundError:  # removed by a new owner, or the folder was removed
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create_exclusively(path, data)
    finally:
        attempt.unlink(missing_ok=True)
    files.sync_folder(folder)
    return True


def _create_exclusively(path: Path, data: bytes) -> bool:
    """`_create` for a file system without links. If killed in the middle, it leaves an unknown owner."""
    try:
        _write_new(path, data)
    except FileExistsError:
        return False
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _write_new(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _tidy(folder: Path, generation: int) -> None:
    """Remove generations older than the previous one, and leftovers of killed processes."""
    for path in folder.iterdir():
        own = _NAME.fullmatch(path.name)
        if path.name.startswith(_TRY) or (own and int(own[1]) < generation - 1):
            path.unlink(missing_ok=True)
    files.clear_leftovers(folder)


def _generations(folder: Path) -> list[int]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))


def _path(folder: Path, generation: int) -> Path:
    return folder / f"{generation:06d}.json"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        content = json.loads(raw)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
