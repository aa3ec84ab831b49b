"""Claims: of all processes that want the same training, on any machine, one does it.

A claim is a folder of numbered generations on the file system that the runs share; no lock of the file system is used,
since NFS may not have any. The highest generation is the holder. A generation is taken by linking a finished file to
its name, which succeeds for one process alone. While the holder lives, a thread of it rewrites its file with a growing
beat. Whoever wants the claim takes the next generation once the holder has released it or is dead: at once where the
holder was a process of this very machine that is gone; else when its beat has stood still for `stale_s` of the waiter's
own clock (clocks are never compared). A holder that was given up while it slept learns so at its next `check`.

`check` and the write that follows it are two steps: a machine that freezes between them may still write afterward.
Such a write is whole, and holds what the same configuration always gives.
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
from pathlib import Path
from types import TracebackType
from typing import Any

from paa import checks, files
from paa.store.errors import ClaimLost
from paa.store.process import Process

_NAME = re.compile(r"(\d{6,})\.json")
_TRY = ".try-"
_NO_LINKS = {errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""How file systems say that they have no hard links."""


class Holder:
    """What a claim's highest generation says: `process`, `command`, `acquired` (Unix time), `beat` and `released`."""

    def __init__(self, generation: int, content: dict[str, Any], raw: bytes) -> None:
        self.generation, self.raw = generation, raw
        self.token: str | None = content.get("token")
        self.process = Process.parse(content.get("process"))
        self.command: str = content.get("command", "")
        self.acquired: float | None = content.get("acquired")
        self.beat: int = content.get("beat", 0)
        self.released = content.get("state") == "released"

    @property
    def gone(self) -> bool:
        """Whether it is known at once that nobody holds the claim: released, or a dead process of this machine."""
        return self.released or self.process.dead

    def __str__(self) -> str:
        return str(self.process)


def holder(folder: Path) -> Holder | None:
    """The highest generation of the claim in `folder`; None where there is none.

    A file that cannot be read (a writer without links was killed in the middle) is a holder of whom nothing is known.
    """
    while True:
        generations = _generations(folder)
        if not generations:
            return None
        try:
            raw = _path(folder, generations[-1]).read_bytes()
        except FileNotFoundError:  # removed since the listing: there are higher ones, or the folder is gone
            continue
        return Holder(generations[-1], _parse(raw), raw)


class Claim:
    """A held claim. A context manager: leaving the block releases it. Made by `acquire`."""

    def __init__(self, folder: Path, generation: int, content: dict[str, Any], heartbeat_s: float) -> None:
        self.folder, self.generation = folder, generation
        self._content, self._heartbeat_s, self._pid = content, heartbeat_s, os.getpid()
        self._lock, self._over, self._lost = threading.Lock(), threading.Event(), False
        self._thread = threading.Thread(target=self._beat, name="claim heartbeat", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether another process has taken over, or the claim's folder was removed."""
        if not self._lost:
            highest = _generations(self.folder)[-1:]
            own = _parse(_read(_path(self.folder, self.generation)))
            self._lost = highest != [self.generation] or own.get("token") != self._content["token"]
        return self._lost

    def check(self) -> None:
        """Raises ClaimLost where the claim is lost. Called before every write to the run's folder."""
        if self.lost:
            now = holder(self.folder)
            by = f"{now} has taken it over" if now and now.token != self._content["token"] else "its folder was removed"
            raise ClaimLost(f"{self.folder}: this process no longer holds the claim ({by}); it stops without writing")

    def release(self) -> None:
        """Lets go; the next process takes over at once. Nothing happens in a forked child, or when called again."""
        if os.getpid() != self._pid or self._over.is_set():
            return
        self._over.set()
        with self._lock, contextlib.suppress(OSError):
            if not self.lost:
                self._write(state="released")

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _beat(self) -> None:
        # A full disk or a server that is away must not end the thread: the next beat may get through.
        while not self._over.wait(self._heartbeat_s):
            with self._lock, contextlib.suppress(OSError):
                if self._over.is_set() or self.lost:
                    return
                self._write(beat=self._content["beat"] + 1)

    def _write(self, **changes: Any) -> None:
        self._content.update(changes)
        # Not brought to the disk: after a power cut the machine has another boot id, and the claim is given up anyway.
        files.write_bytes(_path(self.folder, self.generation), _encode(self._content), durable=False)


def acquire(
    folder: Path,
    *,
    if_locked: str = "wait",
    heartbeat_s: float = 10.0,
    stale_s: float = 120.0,
    poll_s: float = 1.0,
    is_done: Callable[[], bool] = lambda: False,
    on_wait: Callable[[Holder], None] | None = None,
) -> Claim | None:
    """The claim in `folder`, which is made; or None where `is_done` says that there is nothing left to do.

    if_locked      "wait" until the holder lets go or is dead, "skip" returns None at once.
    heartbeat_s  seconds between beats of the claim that is acquired.
    stale_s      seconds that a holder's beat may stand still: at least two beats, and more than the file system takes
                 to show a change (NFS: up to 60 s by default).
    poll_s       seconds between looks at the holder.
    is_done      asked before anything is made, at every look, and again once the claim is held.
    on_wait      called once for each holder that is found to be busy.
    """
    checks.choice("if_locked", if_locked, ("wait", "skip"))
    checks.number("heartbeat_s", heartbeat_s, above=0)
    checks.number("stale_s", stale_s, low=2 * heartbeat_s)
    checks.number("poll_s", poll_s, above=0)
    seen = _Watch(poll_s)
    told: int | None = None
    while not is_done():
        current = holder(folder)
        if current is None or current.gone or seen.still_for(current) >= stale_s:
            claim = _take(folder, current.generation if current else 0, heartbeat_s)
            if claim is None:
                continue
            if is_done():
                claim.release()
                return None
            return claim
        if on_wait is not None and told != current.generation:
            on_wait(current)
            told = current.generation
        if if_locked == "skip":
            return None
        time.sleep(poll_s)
    return None


class _Watch:
    """How long a holder's file has not changed.

    A single look adds two polls at most: when this process, or the file system under both, was frozen for minutes, that
    says nothing about the holder.
    """

    def __init__(self, poll_s: float) -> None:
        self._most, self._raw, self._still, self._at = 2 * poll_s, b"", 0.0, time.monotonic()

    def still_for(self, current: Holder) -> float:
        now = time.monotonic()
        if current.raw != self._raw:
            self._raw, self._still = current.raw, 0.0
        else:
            self._still += min(now - self._at, self._most)
        self._at = now
        return self._still


def _take(folder: Path, previous: int, heartbeat_s: float) -> Claim | None:
    """The generation after `previous`, or None where another process was faster."""
    folder.mkdir(parents=True, exist_ok=True)
    generation = previous + 1
    content = {
        "token": uuid.uuid4().hex,
        "state": "held",
        "beat": 0,
        "acquired": time.time(),
        "process": Process.current().plain(),
        "command": " ".join(sys.argv),
    }
    if not _create(folder, _path(folder, generation), _encode(content)):
        return None
    # A process that slept between looking and linking may have taken a number that others used and removed long ago.
    if _generations(folder)[-1:] != [generation]:
        _path(folder, generation).unlink(missing_ok=True)
        return None
    _tidy(folder, generation)
    return Claim(folder, generation, content, heartbeat_s)


def _create(folder: Path, path: Path, data: bytes) -> bool:
    """Makes `path` with `data` in it, whole, where no other process has made it; whether this process did."""
    attempt = folder / f"{_TRY}{uuid.uuid4().hex}"
    try:
        _write_new(attempt, data)
        os.link(attempt, path)
    except FileExistsError:
        return _read(path) == data  # over NFS, a link that was made may be reported as failed
    except FileNotFoundError:  # tidied away by a new holder, or the folder was removed
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
    """As `_create`, where the file system has no links. Killed in the middle, it leaves a holder nobody knows."""
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
    """Removes generations older than the previous one, and what killed processes left."""
    for old in _generations(folder):
        if old < generation - 1:
            _path(folder, old).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.name.startswith(_TRY):
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


def _encode(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        content = json.loads(raw)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
