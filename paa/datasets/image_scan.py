"""Scan image files before training: size, orientation, colors, and whether they decode at all.

What is known of a file is remembered by its path, size and time of change, so that it is read once for a data set and
not once for a run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from PIL import Image, JpegImagePlugin

from paa.datasets.cache import default_cache
from paa.datasets.images import BROKEN, orientation_of, reason, to_rgb
from paa.datasets.progress import track
from paa.files import write_bytes

LEVELS = ("size", "decode")
"""How a file is looked at: only its header, or all of it."""

MISSING = "no such file"

_FORMAT = 1
_SAVE_EVERY = 20_000


@dataclass(frozen=True)
class ImageInfo:
    """What is known of a file.

    problem      what is wrong with it, "" if nothing is.
    level        how it was looked at, see LEVELS; "" where it could not be opened, which is not remembered.
    size         (width, height) of its pixels as they are stored; (0, 0) where they cannot be read.
    orientation  that EXIF states, 1 to 8.
    colors      PIL's mode: RGB, L, P, CMYK, ...
    """

    problem: str = ""
    level: str = "decode"
    size: tuple[int, int] = (0, 0)
    orientation: int = 1
    colors: str = ""


def inspect(path: Path, level: str) -> ImageInfo:
    """Inspect one file.

    A JPEG is decoded at an eighth of its size, which reads all of it at a fraction of the cost. A PNG is always read
    whole: its orientation may stand behind its pixels.
    """
    if not path.is_file():
        return ImageInfo("not a file" if path.exists() else MISSING, "")
    try:
        with Image.open(path) as image:
            size, colors = image.size, image.mode
            if image.format == "PNG":
                level = "decode"
            if level == "decode":
                if isinstance(image, JpegImagePlugin.JpegImageFile):
                    image.draft(None, (max(size[0] // 8, 1), max(size[1] // 8, 1)))
                image.load()
                to_rgb(image)
            return ImageInfo("", level, size, orientation_of(image), colors)
    except BROKEN as error:
        unread = isinstance(error, MemoryError) or getattr(error, "errno", None) is not None
        return ImageInfo(reason(error), "" if unread else level)


def scan(
    folder: Path, names: Sequence[str], level: str, cache_dir: str | Path | None = None, *, quiet: bool = False
) -> list[ImageInfo]:
    """Return what is known of the files `names` below `folder`, by looking where it is not remembered.

    level      see LEVELS; what is known from all of a file covers its header.
    cache_dir  folder of the cache; the user's cache folder where None. One that cannot be read or written is
               ignored.
    Shows its progress on stderr when there is much to do, unless `quiet`. What was seen before an interrupt is kept.
    """
    memory = _Memory(folder, cache_dir)
    states = [_state(folder / name) for name in names]
    found = [memory.get(name, state, level) for name, state in zip(names, states, strict=True)]
    unknown = [i for i, info in enumerate(found) if info is None]
    what = f"checking the images of {folder}"

    def one(i: int) -> tuple[int, ImageInfo]:
        return i, inspect(folder / names[i], level)

    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 16))  # threads: PIL reads and decodes outside of Python's lock
    try:
        for done, (i, info) in enumerate(track(pool.map(one, unknown), what, len(unknown), quiet=quiet), start=1):
            found[i] = info
            memory.put(names[i], states[i], info)
            if done % _SAVE_EVERY == 0:
                memory.save()
    finally:
        pool.shutdown(cancel_futures=True)
        memory.save()
    return [info for info in found if info is not None]


def _state(path: Path) -> list[int] | None:
    """[size, time of change] of a file, None where there is none that can be remembered."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns]


class _Memory:
    """What is known of the files of one folder, in one file of the cache."""

    def __init__(self, folder: Path, cache_dir: str | Path | None) -> None:
        place = str(folder.resolve())
        cache = default_cache() if cache_dir is None else Path(cache_dir)
        self.file = cache / "images" / hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest()
        self._head = {"format": _FORMAT, "folder": place}
        self._rows = self._read()
        self._new: dict[str, Any] = {}

    def get(self, name: str, state: list[int] | None, level: str) -> ImageInfo | None:
        row: Any = self._rows.get(name)
        try:
            if state is None or row[0] != state:
                return None
            problem, known, size, orientation, colors = row[1]
            info = ImageInfo(str(problem), str(known), (int(size[0]), int(size[1])), int(orientation), str(colors))
        except (TypeError, ValueError, IndexError, KeyError):
            return None
        return info if info.level in ("decode", level) else None

    def put(self, name: str, state: list[int] | None, info: ImageInfo) -> None:
        if state is not None and info.level:
            self._new[name] = [state, list(astuple(info))]

    def save(self) -> None:
        """Adds what is new to what others may have written since."""
        if self._new:
            self._rows = {**self._read(), **self._new}
            self._new = {}
            text = json.dumps({**self._head, "files": self._rows}, separators=(",", ":"))
            with contextlib.suppress(OSError):
                write_bytes(self.file, text.encode(), durable=False)

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.file.read_bytes())
        except (OSError, ValueError):
            return {}
        files = content.pop("files", None) if isinstance(content, dict) else None
        return files if isinstance(files, dict) and content == self._head else {}
