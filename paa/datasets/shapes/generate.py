"""Write the embedded data set in COCO layout, and repair it where files of it are lost.

    FOLDER/images/SPLIT/000000.png ...   FOLDER/annotations/SPLIT.json   FOLDER/complete.json

`complete.json` is written last: a folder without it is drawn from the start. It lists the size of every file, so that a
missing or truncated one is found before training and drawn again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from paa import checks
from paa.datasets.cache import file_state
from paa.datasets.errors import DataError
from paa.datasets.progress import track
from paa.datasets.shapes.scene import CLASSES, SPLITS, draw
from paa.files import replacing, write_bytes

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

VERSION = 1
"""Of the generator: raised whenever a pixel, a box or an id changes. A golden digest in the tests forces it."""

SPLIT_DIGESTS = {
    "train": "80dd6333ea186e4f8f029b736e3cf883f7fc8dede5389a38925eafe4ffd1a93c",
    "val": "fd19b7edc6683f6fab003323e12d2ea16704068671cf0c83960ec4859cfb8d8f",
    "test": "93cdb66e0ef5aae0b35ae11dc43057078df68d7dbcd9c1f5293ca2412b5f815a",
}
"""SHA-256 of each split of the default data set, decoded pixels and annotations (`digest_of_files` of the tests)."""

_MANIFEST = "complete.json"
_SPLIT_IDS = 1_000_000  # image ids of a split start at this times its position, so that no id is used twice


@dataclass(frozen=True)
class Spec(checks.Checked):
    """What the data set is a function of: seed, image side in pixels, and number of images of each split."""

    seed: int = checks.checked(checks.integer, 0, low=0, high=2**32 - 1)
    size: int = checks.checked(checks.integer, 128, low=64, high=1024)
    train: int = checks.checked(checks.integer, 4000, low=1, high=_SPLIT_IDS - 1)
    val: int = checks.checked(checks.integer, 500, low=1, high=_SPLIT_IDS - 1)
    test: int = checks.checked(checks.integer, 500, low=1, high=_SPLIT_IDS - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 32:
            raise checks.OutOfRange("size", f"={self.size}: must be a multiple of 32 from 64 to 1024")

    @property
    def name(self) -> str:
        """Of the folder; the default numbers of images and the default size are left out."""
        name = f"shapes-v{VERSION}-seed{self.seed}"
        usual = Spec(self.seed)
        return name if self == usual else f"{name}-{self.size}px-{self.train}-{self.val}-{self.test}"

    def count(self, split: str) -> int:
        """Images of `split`."""
        return int(getattr(self, split))


def image_id(split: str, index: int) -> int:
    """Of image `index` of `split`: from 1, 1000001, 2000001 on."""
    return SPLITS.index(split) * _SPLIT_IDS + index + 1


def generate(spec: Spec, root: Path, *, quiet: bool = False) -> Path:
    """Return the folder of the complete data set below `root`; draw first what is missing of it.

    Shows its progress on stderr unless `quiet`. Raises DataError where the place is taken by something else.
    """
    place = root / spec.name
    if _missing(place, spec):
        place.mkdir(parents=True, exist_ok=True)
        with _locked(root / f".{spec.name}.lock"):
            if names := _missing(place, spec):  # unless another process has drawn it meanwhile
                _write(spec, place, names, quiet)
    return place


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the lock file `path` and hold it; where there are no locks, several processes write the same bytes.

    The system releases the lock when its process ends, however that ends, and it holds across containers.
    """
    with path.open("a") as file:
        if fcntl is not None:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _files(spec: Spec) -> list[str]:
    images = [f"images/{_image_file(split, index)}" for split in SPLITS for index in range(spec.count(split))]
    return [*(f"annotations/{split}.json" for split in SPLITS), *images]


def _image_file(split: str, index: int) -> str:
    return f"{split}/{index:06d}.png"


def _missing(place: Path, spec: Spec) -> list[str]:
    """Names below `place` of files that are not there or not of the size that the manifest states; all without one.

    DataError where `place` holds another manifest.
    """
    try:
        manifest = json.loads((place / _MANIFEST).read_bytes())
        sizes = manifest.pop("bytes", {})
    except FileNotFoundError:
        return _files(spec)
    except (ValueError, AttributeError):
        manifest, sizes = None, {}
    if manifest != {"version": VERSION, **asdict(spec)}:
        raise DataError(f"{place}: not a complete data set of this generator; move it away, and it is drawn anew")
    return [name for name in _files(spec) if _size(place / name) != sizes.get(name)]


def _size(path: Path) -> int | None:
    state = file_state(path)
    return state[0] if state else None


def _write(spec: Spec, folder: Path, names: Sequence[str], quiet: bool) -> None:
    """Draw the files `names` of `_files`, and write the manifest last."""
    wanted = set(names)
    whole = {split for split in SPLITS if f"annotations/{split}.json" in wanted}  # every scene has its part in these
    scenes = [
        (split, index)
        for split in SPLITS
        for index in range(spec.count(split))
        if split in whole or f"images/{_image_file(split, index)}" in wanted
    ]
    annotations: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for split, index in track(scenes, f"drawing {spec.name}", len(scenes), quiet=quiet):
        scene = draw(spec.seed, split, index, spec.size)
        for box, label, area in zip(scene.boxes.tolist(), scene.labels.tolist(), scene.areas.tolist(), strict=True):
            of = {"id": len(annotations[split]) + 1, "image_id": image_id(split, index), "category_id": label + 1}
            annotations[split].append({**of, "bbox": box, "area": area, "iscrowd": 0})
        if (name := f"images/{_image_file(split, index)}") in wanted:
            with replacing(folder / name, durable=False) as file:
                Image.fromarray(scene.pixels).save(file, "PNG", compress_level=1)
    categories = [{"id": label + 1, "name": name, "supercategory": "shape"} for label, name in enumerate(CLASSES)]
    for split in whole:
        files = {image_id(split, index): _image_file(split, index) for index in range(spec.count(split))}
        images = [{"id": i, "file_name": n, "width": spec.size, "height": spec.size} for i, n in files.items()]
        lists = {"images": images, "annotations": annotations[split], "categories": categories}
        _save(folder / "annotations" / f"{split}.json", {"info": {"description": spec.name}, **lists})
    if hasattr(os, "sync"):
        os.sync()  # one call for five thousand images, where an fsync of each would take minutes on some disks
    sizes = {name: _size(folder / name) for name in _files(spec)}
    _save(folder / _MANIFEST, {"version": VERSION, **asdict(spec), "bytes": sizes})


def _save(path: Path, content: dict[str, Any]) -> None:
    write_bytes(path, json.dumps(content, separators=(",", ":")).encode())
