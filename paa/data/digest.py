"""The identity of an annotation file's content, remembered so that a large file is not parsed to be recognised."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from paa.data.coco import CocoIndex
from paa.data.errors import AnnotationError
from paa.files import write_text

_FORMAT = 1


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/paa`, or `~/.cache/paa`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "paa"


def annotation_digest(path: str | Path, cache_dir: str | Path | None = None, *, labelled: bool = True) -> str:
    """`CocoIndex.digest` of the file at `path`, taken from the cache where path, size and time of change are known.

    cache_dir: folder of the cache; `default_cache()` where None. A cache that cannot be read or written is left
    alone. Raises AnnotationError where the file is missing or is not COCO's.
    """
    path = Path(path).resolve()
    try:
        stat = path.stat()
    except OSError:
        raise AnnotationError(f"{path}: no such file; expected COCO annotations (json)") from None
    key = json.dumps([_FORMAT, str(path), stat.st_size, stat.st_mtime_ns])
    folder = (default_cache() if cache_dir is None else Path(cache_dir)) / "digests"
    entry = folder / hashlib.sha256(key.encode()).hexdigest()
    try:
        known, digest = entry.read_text().splitlines()
        if known == key and len(digest) == 64:
            return digest
    except (OSError, ValueError):
        pass
    digest = CocoIndex.read(path, path.parent, labelled=labelled).digest()
    with contextlib.suppress(OSError):
        write_text(entry, f"{key}\n{digest}\n")
    return digest
