"""The identity of an annotation file's content, remembered so that a large file is not parsed to be recognized."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from paa.datasets.errors import AnnotationError
from paa.datasets.formats.coco_index import CocoIndex
from paa.files import write_text

_FORMAT = 1


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/paa`, or `~/.cache/paa`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "paa"


def annotation_digest(
    path: str | Path,
    cache_dir: str | Path | None = None,
    *,
    read: Callable[[], CocoIndex] | None = None,
    on_invalid: str = "error",
) -> str:
    """`CocoIndex.digest` of the file at `path`, taken from the cache where path, size and time of change are known.

    read, on_invalid: how the file is read where it is not known; `read` must be what `on_invalid` says.

    cache_dir: folder of the cache; `default_cache()` where None. A cache that cannot be read or written is left
    alone. Raises AnnotationError where the file is missing or is not COCO's.
    """
    path = Path(path).resolve()
    try:
        stat = path.stat()
    except OSError:
        raise AnnotationError(f"{path}: no such file; expected COCO annotations (json)") from None
    mode = [] if on_invalid == "error" else [on_invalid]
    key = json.dumps([_FORMAT, str(path), stat.st_size, stat.st_mtime_ns, *mode])
    read = read or (lambda: CocoIndex.read(path, path.parent, on_invalid=on_invalid))
    return cached_digest(key, lambda: read().digest(), cache_dir)


def cached_digest(key: str, compute: Callable[[], str], cache_dir: str | Path | None = None) -> str:
    """The SHA-256 that `compute` gives for `key` (one line of text), from the cache where it has been given before.

    cache_dir: folder of the cache; `default_cache()` where None. A cache that cannot be read or written is left alone.
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
