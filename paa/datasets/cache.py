"""Digests of data, remembered so that large files are not read again to be recognized."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from paa.files import write_text


def default_cache() -> Path:
    """Return `$XDG_CACHE_HOME/paa`, or `~/.cache/paa`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "paa"


def cached_digest(key: str, compute: Callable[[], str], cache_dir: str | Path | None = None) -> str:
    """Return the SHA-256 that `compute` gives for `key` (one line of text), from the cache where it is known.

    cache_dir: folder of the cache; `default_cache()` where None. A cache that cannot be read or written is ignored.
    """
    folder = (default_cache() if cache_dir is None else Path(cache_dir)) / "digests"
    entry = folder / hashlib.sha256(key.encode()).hexdigest()
    try:
        known, digest = entry.read_text().splitlines()
        if known == key and len(digest) == 64:
            return digest
    except (OSError, ValueError):
        pass
    digest = compute()
    with contextlib.suppress(OSError):
        write_text(entry, f"{key}\n{digest}\n")
    return digest


def file_state(path: Path) -> list[int] | None:
    """Return [size, time of change] of a file, None where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns]
