"""Where data come from: each source prepares itself, names its splits, and gives an index and an identity of each.

A source never reads or makes anything in its constructor; `prepare` does what is needed before an index is asked for.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from paa import checks
from paa.data.coco import CocoIndex
from paa.data.digest import annotation_digest
from paa.data.errors import DataError
from paa.data.shapes.generate import VERSION, Spec, generate
from paa.data.shapes.golden import SPLIT_DIGESTS


class _Folder:
    """Splits that are (annotation file, image folder, whether it has annotations) below a root folder."""

    files: dict[str, tuple[str, str, bool]]
    optional: tuple[str, ...] = ()
    layout: str

    def __init__(self, root: str | Path | None, cache_dir: str | Path | None = None) -> None:
        if not isinstance(root, str | Path) or not str(root).strip():
            raise checks.OutOfRange("root", f"={root}: must be {self.layout}")
        self.root = Path(root).expanduser()
        self.cache_dir = cache_dir
        self._read: dict[str, CocoIndex] = {}

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that are there, as far as they are optional."""
        return tuple(s for s in self.files if s not in self.optional or (self.root / self.files[s][0]).exists())

    def prepare(self) -> None:
        """Raises DataError where the root folder is not there; annotation files are missed when they are asked for."""
        if not self.root.is_dir():
            raise DataError(f"data.root={self.root}: no such folder; must be {self.layout}")

    def index(self, split: str) -> CocoIndex:
        """The split's images and annotations, read once. Raises DataError, naming what is missing or broken."""
        annotation_file, image_dir, labelled = self._paths(split)
        if split not in self._read:
            self._read[split] = CocoIndex.read(annotation_file, image_dir, labelled=labelled)
        return self._read[split]

    def digest(self, split: str) -> str:
        """SHA-256 of the split's image list and annotations, the same wherever they lie. Raises as `index`."""
        annotation_file, _, labelled = self._paths(split)
        return annotation_digest(annotation_file, self.cache_dir, labelled=labelled)

    def _paths(self, split: str) -> tuple[Path, Path, bool]:
        self.prepare()
        if split not in self.files:
            raise DataError(f"split {split!r}: must be one of {', '.join(self.splits)}")
        annotation_file, image_dir, labelled = self.files[split]
        if not (self.root / annotation_file).is_file():
            raise DataError(f"data.root={self.root}: has no {annotation_file}; must be {self.layout}")
        if not (self.root / image_dir).is_dir():
            raise DataError(f"data.root={self.root}: has no folder {image_dir}; must be {self.layout}")
        return self.root / annotation_file, self.root / image_dir, labelled


class Custom(_Folder):
    """One's own data in COCO format.

    root       folder with images/, annotations/train.json, annotations/val.json and, if there is one, test.json.
    cache_dir  where digests of annotation files are remembered; None: the user's cache folder.
    """

    files = {split: (f"annotations/{split}.json", "images", True) for split in ("train", "val", "test")}  # noqa: RUF012
    optional = ("test",)
    layout = "a folder with images/, annotations/train.json, annotations/val.json and perhaps annotations/test.json"


class Coco(_Folder):
    """COCO 2017 as it is distributed.

    root       folder with annotations/, train2017/, val2017/ and, for the split test-dev, test2017/.
    cache_dir  where digests of annotation files are remembered; None: the user's cache folder.
    """

    files = {  # noqa: RUF012
        "train": ("annotations/instances_train2017.json", "train2017", True),
        "val": ("annotations/instances_val2017.json", "val2017", True),
        "test-dev": ("annotations/image_info_test-dev2017.json", "test2017", False),
    }
    optional = ("test-dev",)
    layout = (
        "a folder with annotations/instances_train2017.json, annotations/instances_val2017.json, train2017/, val2017/"
        " (and annotations/image_info_test-dev2017.json, test2017/ for test-dev)"
    )


class Shapes:
    """The embedded data set, drawn on first use.

    root              folder below which it is drawn, in a folder of its own.
    seed              of the drawing, 0 ... 2**32 - 1.
    train, val, test  images of each split; fewer images are the first of more.
    size              side of the images in pixels, a multiple of 32 from 64 on.
    """

    splits = ("train", "val", "test")

    def __init__(
        self, root: str | Path, seed: int = 0, train: int = 4000, val: int = 500, test: int = 500, size: int = 128
    ) -> None:
        if not isinstance(root, str | Path) or not str(root).strip():
            raise checks.OutOfRange("root", f"={root}: must be a folder that can be written")
        self.root = Path(root).expanduser()
        checks.integer("seed", seed, low=0, high=2**32 - 1)
        for name, count in (("train", train), ("val", val), ("test", test)):
            checks.integer(name, count, low=1, high=999_999)
        if checks.integer("size", size, low=64, high=1024) % 32:
            raise checks.OutOfRange("size", f"={size}: must be a multiple of 32 from 64 to 1024")
        self.spec = Spec(seed, size, train, val, test)

    def prepare(self, *, quiet: bool = False) -> None:
        """Draws the data set if it is not there; of several processes at it one wins, the others take its folder."""
        try:
            generate(self.spec, self.root, quiet=quiet)
        except OSError as error:
            raise DataError(
                f"data.root={self.root}: the shapes cannot be written there ({error.strerror}); must be a folder that"
                " can be written, with 200 MB free"
            ) from None

    def index(self, split: str) -> CocoIndex:
        """The split's images and annotations, from the files. Raises DataError before `prepare`."""
        folder = self.root / self.spec.name
        self._known(split)
        return CocoIndex.read(folder / "annotations" / f"{split}.json", folder / "images")

    def digest(self, split: str) -> str:
        """Identity of the split's pixels and annotations. They need not be there: they are a function of the arguments.

        The committed SHA-256 of the content for the default arguments, else a hash of the generator's version and of
        those arguments that the split depends on.
        """
        self._known(split)
        if self.spec == Spec():
            return SPLIT_DIGESTS[split]
        spec = self.spec
        text = f"shapes {VERSION} seed {spec.seed} size {spec.size} {split} {spec.count(split)}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _known(self, split: str) -> None:
        if split not in self.splits:
            raise DataError(f"split {split!r}: must be one of {', '.join(self.splits)}")
