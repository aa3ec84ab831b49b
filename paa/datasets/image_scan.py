"""Check image files before training: size, orientation, colors, content, and whether they decode at all.

What is known of a file is remembered by its path, size and time of change, so that it is read once for a data set and
not once for a run.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from paa.datasets.cache import default_cache, file_state
from paa.datasets.errors import ImageError
from paa.datasets.findings import FOLLOWING, Finding, counted, refusal
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.images import BROKEN, MISSING, ImageInfo, image_problem, orientation_of, reason, to_rgb, turn_of
from paa.datasets.progress import track
from paa.files import write_bytes

VERIFY = ("decode", "size", "none")
"""data.verify: all of every image file is read, or its header, or nothing."""

_FORMAT = 3
_SAVE_EVERY = 20_000


def inspect(path: Path, level: str) -> ImageInfo:
    """Inspect one file.

    A JPEG is decoded at an eighth of its size, which reads all of it at a fraction of the cost. A PNG is always read
    whole: its orientation may stand behind its pixels.
    """
    if not path.is_file():
        return ImageInfo("not a file" if path.exists() else MISSING, "")
    length, content = 0, ""
    try:
        length = path.stat().st_size
        data = path.read_bytes() if level == "decode" else None
        content = "" if data is None else hashlib.blake2b(data, digest_size=16).hexdigest()
        with Image.open(path if data is None else io.BytesIO(data)) as image:
            size, colors = image.size, image.mode
            if image.format == "PNG" and data is None:
                return inspect(path, "decode")
            if level == "decode":
                if isinstance(image, JpegImagePlugin.JpegImageFile):
                    image.draft(None, (max(size[0] // 8, 1), max(size[1] // 8, 1)))
                image.load()
                to_rgb(image)
            return ImageInfo("", level, size, orientation_of(image), colors, length, content)
    except BROKEN as error:
        unread = isinstance(error, MemoryError) or getattr(error, "errno", None) is not None
        return ImageInfo(reason(error), "" if unread else level, length=length, content=content)


def scan_images(index: CocoIndex, level: str, cache_dir: str | Path | None = None) -> list[ImageInfo]:
    """Return what is known of every image file of `index`, by looking where it is not remembered.

    level      "size" or "decode"; what is known from all of a file covers its header.
    cache_dir  folder of the cache; the user's cache folder where None. One that cannot be read or written is
               ignored.
    Shows its progress on stderr when there is much to do. What was seen before an interrupt is kept.
    """
    names = index.file_names.tolist()
    place = f"{_FORMAT} {index.image_dir.resolve()}".encode("utf-8", "surrogatepass")
    memory = Path(cache_dir or default_cache()) / "images" / hashlib.sha256(place).hexdigest()
    rows = _read(memory)
    states = [file_state(index.image_dir / name) for name in names]
    found = [_known(rows.get(name), state, level) for name, state in zip(names, states, strict=True)]
    unknown = [i for i, info in enumerate(found) if info is None]
    what = f"checking the images of {index.image_dir}"
    new = {}
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 16))  # threads: PIL reads and decodes outside of Python's lock
    seen = pool.map(lambda i: (i, inspect(index.image_path(i), level)), unknown)
    try:
        for done, (i, info) in enumerate(track(seen, what, len(unknown)), start=1):
            found[i] = info
            if states[i] is not None and info.level:
                new[names[i]] = [states[i], asdict(info)]
            if done % _SAVE_EVERY == 0:
                _add(memory, new)
    finally:
        pool.shutdown(cancel_futures=True)
        _add(memory, new)
    return [info for info in found if info is not None]


def content_digest(index: CocoIndex, known: Sequence[ImageInfo], level: str) -> str:
    """Return the SHA-256 of the names of image files with their bytes (level "decode") or their lengths ("size")."""
    digest = hashlib.sha256(level.encode())
    for name, info in zip(index.file_names.tolist(), known, strict=True):
        seen = info.content if level == "decode" else info.length
        digest.update(f"{name}\0{seen}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def require_usable(index: CocoIndex, known: Sequence[ImageInfo]) -> None:
    """Raise ImageError, one line, where an image file of `index` cannot be used."""
    if problem := refusal(list(_problems(index, known).values())):
        raise ImageError(problem)


def drop_unusable(index: CocoIndex, known: Sequence[ImageInfo]) -> CocoIndex:
    """Return `index` without images whose files cannot be used, counted in `invalid`. ImageError where none is left."""
    problems = _problems(index, known)
    found, good = list(problems.values()), np.setdiff1d(np.arange(len(index)), list(problems))
    if not found:
        return index
    if not len(good):
        raise ImageError(f"{index.path}: no image can be used; {refusal(found, 'nothing is left')}")
    lost = index.annotation_ids[~np.isin(index.image_of, good)]
    if len(lost):
        line = f"{index.path}: annotation id {lost[0]} is of an image that is left out"
        found.append(Finding(FOLLOWING, line, len(lost)))
    return replace(index.subset(good), invalid=counted([*index.invalid, *found]))


def applied_orientations(index: CocoIndex, known: Sequence[ImageInfo]) -> list[tuple[int, int]]:
    """List (image id, EXIF orientation) of every image that decoding turns."""
    turns = [(int(index.image_ids[i]), turn_of(index, i, info)) for i, info in enumerate(known)]
    return [(identity, turn) for identity, turn in turns if turn is not None and turn > 1]


def _problems(index: CocoIndex, known: Sequence[ImageInfo]) -> dict[int, Finding]:
    """What is wrong with image files, by the positions of the images."""
    found = {i: image_problem(index, i, info) for i, info in enumerate(known)}
    return {i: problem for i, problem in found.items() if problem}


def _known(row: Any, state: list[int] | None, level: str) -> ImageInfo | None:
    """What a row of the memory says of a file in this state."""
    if row is None or row[0] != state:
        return None
    info = ImageInfo(**{**row[1], "size": tuple(row[1]["size"])})
    return info if info.level in ("decode", level) else None


def _read(memory: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(memory.read_bytes()))
    except (OSError, ValueError):
        return {}


def _add(memory: Path, new: dict[str, Any]) -> None:
    """Adds what is new to what others may have written since."""
    if new:
        text = json.dumps({**_read(memory), **new}, separators=(",", ":"))
        with contextlib.suppress(OSError):
            write_bytes(memory, text.encode(), durable=False)
