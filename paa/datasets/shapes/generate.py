"""Writing the embedded data set in COCO layout, whole or not at all.

    FOLDER/images/SPLIT/000000.png ...   FOLDER/annotations/SPLIT.json   FOLDER/complete.json

The folder is filled under a name of its own beside its place and renamed into it, so that of generators at work at the
same time the first wins and the others discard theirs. Without the rename there is no folder of that name.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from paa.datasets.errors import DataError
from paa.datasets.shapes.scene import CLASSES, SPLITS, Scene, draw

VERSION = 1
"""Of the generator: raised whenever a pixel, a box or an id changes. A golden digest in the tests forces it."""

_MARKER = "complete.json"
_SPLIT_IDS = 1_000_000  # image ids of a split start at this times its position, so that no id is used twice


@dataclass(frozen=True)
class Spec:
    """What the data set is a function of: seed, image side in pixels, and images of each split."""

    seed: int = 0
    size: int = 128
    train: int = 4000
    val: int = 500
    test: int = 500

    @property
    def name(self) -> str:
        """Of the folder; the default counts and size go without saying."""
        name = f"shapes-v{VERSION}-seed{self.seed}"
        usual = Spec(self.seed)
        return name if self == usual else f"{name}-{self.size}px-{self.train}-{self.val}-{self.test}"

    def count(self, split: str) -> int:
        """Images of `split`."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]


def image_id(split: str, index: int) -> int:
    """Of image `index` of `split`: from 1, 1000001, 2000001 on."""
    return SPLITS.index(split) * _SPLIT_IDS + index + 1


def scenes(spec: Spec, split: str) -> Iterator[Scene]:
    """The split's images in order."""
    for index in range(spec.count(split)):
        yield draw(spec.seed, split, index, spec.size)


def update(digest: Any, identity: int, pixels: np.ndarray, labels: np.ndarray, boxes: np.ndarray, areas: Any) -> None:
    """Adds one image to a running hash: id, pixels, then label, x, y, w, h, area of each object as 64-bit integers."""
    rows = np.column_stack([labels, boxes, areas]).astype("<i8")
    digest.update(np.array([identity, len(rows), *pixels.shape], dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    digest.update(rows.tobytes())


def generate(spec: Spec, root: Path, *, quiet: bool = False) -> Path:
    """The folder of the complete data set below `root`, drawn now if it is not there yet.

    Prints its progress to stderr unless `quiet`. Raises DataError where the place is taken by something else.
    """
    place = root / spec.name
    if _complete(place, spec):
        return place
    root.mkdir(parents=True, exist_ok=True)
    _sweep(root, spec)
    aside = root / f".{spec.name}.{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    try:
        _write(spec, aside, _Progress(spec, quiet))
        try:
            os.rename(aside, place)
        except OSError:
            if not _complete(place, spec):
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return place


def _complete(place: Path, spec: Spec) -> bool:
    if not place.exists():
        return False
    try:
        found = json.loads((place / _MARKER).read_text())
    except (OSError, ValueError):
        found = None
    if found != {"version": VERSION, **asdict(spec)}:
        raise DataError(f"{place}: not a complete data set of this generator; move it away and it is drawn anew")
    return True


def _sweep(root: Path, spec: Spec) -> None:
    """Removes what generators of this machine left behind when they were killed."""
    host = socket.gethostname()
    for left in root.glob(f".{spec.name}.{host}.*.*"):
        pid = left.name.split(".")[-2]
        if pid.isdigit() and int(pid) != os.getpid() and not _alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _write(spec: Spec, folder: Path, progress: _Progress) -> None:
    (folder / "annotations").mkdir(parents=True)
    for split in SPLITS:
        (folder / "images" / split).mkdir(parents=True)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index, scene in enumerate(scenes(spec, split)):
            name = f"{split}/{index:06d}.png"
            Image.fromarray(scene.pixels).save(folder / "images" / name, compress_level=1)
            images.append({"id": image_id(split, index), "file_name": name, "width": spec.size, "height": spec.size})
            annotations.extend(_annotations(scene, images[-1]["id"], len(annotations)))
            progress.step()
        categories = [{"id": label + 1, "name": name, "supercategory": "shape"} for label, name in enumerate(CLASSES)]
        info = {"description": spec.name}
        text = {"info": info, "images": images, "annotations": annotations, "categories": categories}
        _save(folder / "annotations" / f"{split}.json", text)
    progress.end()
    _save(folder / _MARKER, {"version": VERSION, **asdict(spec)})
    if hasattr(os, "sync"):
        os.sync()  # one call for five thousand images, where an fsync of each would take minutes on some disks


def _annotations(scene: Scene, image: int, before: int) -> Iterator[dict[str, Any]]:
    rows = zip(scene.boxes.tolist(), scene.labels.tolist(), scene.areas.tolist(), strict=True)
    for number, (box, label, area) in enumerate(rows, start=before + 1):
        yield {"id": number, "image_id": image, "category_id": label + 1, "bbox": box, "area": area, "iscrowd": 0}


def _save(path: Path, content: dict[str, Any]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, separators=(",", ":"))
        file.flush()
        os.fsync(file.fileno())


class _Progress:
    """A line on stderr: redrawn on a terminal, else one at the start and one at the end."""

    def __init__(self, spec: Spec, quiet: bool) -> None:
        self.total = spec.train + spec.val + spec.test
        self.done, self.quiet, self.began, self.shown = 0, quiet, time.monotonic(), 0.0
        self.live = sys.stderr.isatty()
        self.name = spec.name
        if not quiet and not self.live:
            print(f"drawing {self.name}: {self.total} images", file=sys.stderr, flush=True)

    def step(self) -> None:
        self.done += 1
        now = time.monotonic()
        if self.live and not self.quiet and now - self.shown > 0.2:
            self.shown = now
            left = (now - self.began) / self.done * (self.total - self.done)
            line = f"\rdrawing {self.name}: {self.done} of {self.total} images, {left:.0f} s left  "
            print(line, end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if not self.quiet:
            took = time.monotonic() - self.began
            start = "\r" if self.live else ""
            print(f"{start}drew {self.name}: {self.total} images in {took:.0f} s    ", file=sys.stderr, flush=True)


def digest_of_scenes(spec: Spec, split: str) -> str:
    """SHA-256 of the split as it is drawn; `statistics.digest_of_files` gives the same from the files."""
    digest = hashlib.sha256()
    for index, scene in enumerate(scenes(spec, split)):
        update(digest, image_id(split, index), scene.pixels, scene.labels, scene.boxes, scene.areas)
    return digest.hexdigest()
