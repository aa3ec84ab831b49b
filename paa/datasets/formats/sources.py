"""The data sources: each prepares itself, names its splits, and gives an index and an identity of each.

A source never reads or makes anything in its constructor; `prepare` does what is needed before an index is asked for.
Nothing here imports torch, so that run IDs are computed without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from paa import checks
from paa.datasets.cache import file_state
from paa.datasets.errors import AnnotationError, DataError
from paa.datasets.formats import voc
from paa.datasets.formats.base import FolderSource, Source
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.formats.coco_json import Lists
from paa.datasets.shapes.generate import SPLIT_DIGESTS, SPLITS, VERSION, Spec, generate


class Custom(FolderSource):
    """Your own data in COCO format.

    root       folder with images/, annotations/train.json, annotations/val.json and, if there is one, test.json, which
               may be without annotations.
    split      the split that is evaluated: train, val or test.
    Other arguments are those of `FolderSource`.
    """

    files = {split: (f"annotations/{split}.json", "images", split != "test") for split in ("train", "val", "test")}  # noqa: RUF012
    optional = ("test",)
    expected = "a folder with images/, annotations/train.json, annotations/val.json and perhaps annotations/test.json"


@dataclass(eq=False)
class Coco(FolderSource):
    """COCO 2017 as it is distributed.

    root       folder with annotations/, train2017/, val2017/ and, for the split test-dev, test2017/.
    split      the split that is evaluated: train, val or test-dev.
    exif       "ignore" by default: pycocotools and the authors' code leave images as they are stored.
    Other arguments are those of `FolderSource`.
    """

    files = {  # noqa: RUF012
        "train": ("annotations/instances_train2017.json", "train2017", True),
        "val": ("annotations/instances_val2017.json", "val2017", True),
        "test-dev": ("annotations/image_info_test-dev2017.json", "test2017", False),
    }
    optional = ("test-dev",)
    expected = (
        "a folder with annotations/instances_train2017.json, annotations/instances_val2017.json, train2017/, val2017/"
        " (and annotations/image_info_test-dev2017.json, test2017/ for test-dev)"
    )
    exif: str = "ignore"

    def public_name(self, split: str) -> str:
        """Return the name that COCO's server uses: test-dev2017."""
        return f"{split}2017"


@dataclass(eq=False)
class Voc(FolderSource):
    """A folder in the layout of Pascal VOC, read into the same index as COCO files.

    root         folder with Annotations/, JPEGImages/ and ImageSets/Main/.
    train_list, val_list, test_list  which list in ImageSets/Main/ is which split, without .txt.
    classes      names of the classes, in the order of the labels; None: those in the XML of the training split, in
                 alphabetical order.
    difficult    ignore: difficult objects are crowds (no targets, ignored by the evaluation); keep: as any object.
    split        the split that is evaluated: train, val or test.
    Other arguments are those of `FolderSource`.
    Ids count from 1: images by name, annotations as they come in them, categories by label.
    """

    NOT_IN_TRAIN_ID: ClassVar[tuple[str, ...]] = (
        *FolderSource.NOT_IN_TRAIN_ID,
        *("train_list", "val_list", "test_list", "classes", "difficult"),
    )
    NOT_IN_EVAL_ID: ClassVar[tuple[str, ...]] = NOT_IN_TRAIN_ID

    optional = ("test",)
    expected = "a folder with Annotations/, JPEGImages/ and ImageSets/Main/ that holds the lists of the splits"

    train_list: str = "train"
    val_list: str = "val"
    test_list: str = "test"
    classes: Sequence[str] | None = None
    difficult: str = "ignore"
    _images: dict[Path, list[voc.VocImage]] = field(default_factory=dict, init=False, repr=False)
    _states: dict[str, list[object]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        lists = {"train": self.train_list, "val": self.val_list, "test": self.test_list}
        for split, name in lists.items():
            if not isinstance(name, str) or not name or Path(name).name != name:
                raise checks.OutOfRange(f"{split}_list", f"={name}: must name a list in {voc.LISTS}/, without .txt")
        self.files = {split: (f"{voc.LISTS}/{name}.txt", voc.IMAGES, True) for split, name in lists.items()}
        super().__post_init__()
        if self.classes is not None:
            what = "null or a list of different names, [cat,dog]"
            names = list(checks.sequence("classes", self.classes, what))
            if not names or not all(isinstance(n, str) and n for n in names) or len(set(names)) < len(names):
                raise checks.OutOfRange("classes", f"={names}: must be {what}")
        checks.choice("difficult", self.difficult, voc.DIFFICULT)

    def read_annotations(self, path: Path, labeled: bool) -> Lists:
        """Read the XML files that the list at `path` names. Raises AnnotationError."""
        train = self._paths("train")[0]
        classes = self.classes or voc.class_names(self._read(train))
        if not classes:
            problem = "no object in the XML of its images, so that there is no class"
            raise AnnotationError(f"{train}: {problem}; data.classes=[cat,dog] names them")
        known = "data.classes" if self.classes else f"those of {self.files['train'][0]}"
        return voc.as_coco(self._read(path), classes, self.difficult, known)

    def _read(self, path: Path) -> list[voc.VocImage]:
        if path not in self._images:
            self._images[path] = voc.read_images(self.root, path)
        return self._images[path]

    def _state(self, split: str) -> list[object]:
        """Size and time of every XML file, of which there may be many: asked for once."""
        if split not in self._states:
            seen, files = hashlib.sha256(), voc.image_files(self.root)
            for name in dict.fromkeys(["train", split]):  # the training split decides on the classes, too
                for listed in voc.listed(self._paths(name)[0]):
                    state = file_state(self.root / voc.ANNOTATIONS / f"{listed}.xml")
                    seen.update(f"{listed} {state} {files.get(listed)}\n".encode("utf-8", "surrogatepass"))
                seen.update(b"\n")
            self._states[split] = [list(self.classes or []), self.difficult, seen.hexdigest()]
        return self._states[split]

    def _paths(self, split: str) -> tuple[Path, Path]:
        paths = super()._paths(split)
        if not (self.root / voc.ANNOTATIONS).is_dir():
            raise DataError(f"data.root={self.root}: has no folder {voc.ANNOTATIONS}; must be {self.expected}")
        return paths


@dataclass(eq=False)
class Shapes(Source):
    """The embedded data set, drawn on first use.

    root              folder below which it is drawn, in a folder of its own.
    seed              of the drawing, 0 ... 2**32 - 1.
    train, val, test  images of each split; fewer images are the first of more.
    size              side of the images in pixels, a multiple of 32 from 64 on.
    split             the split that is evaluated: train, val or test.
    """

    # the digest of the content replaces all but the split
    NOT_IN_TRAIN_ID: ClassVar[tuple[str, ...]] = ("root", "split", "train", "val", "test")
    NOT_IN_EVAL_ID: ClassVar[tuple[str, ...]] = NOT_IN_TRAIN_ID

    files = {split: (f"annotations/{split}.json", "images", True) for split in SPLITS}  # noqa: RUF012
    expected = "a folder that can be written"

    root: Path
    seed: int = 0
    train: int = 4000
    val: int = 500
    test: int = 500
    size: int = 128
    split: str = "val"
    spec: Spec = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = Spec(self.seed, self.size, self.train, self.val, self.test)

    def prepare(self, *, quiet: bool = False) -> None:
        """Draw what is missing of the data set; of several processes one draws, and the others wait for it."""
        try:
            generate(self.spec, self.root, quiet=quiet)
        except OSError as error:
            raise DataError(
                f"data.root={self.root}: the shapes cannot be written there ({error.strerror}); must be a folder that"
                " can be written, with 200 MB free"
            ) from None

    def index(self, split: str) -> CocoIndex:
        """Return the split's images and annotations, from the files. Raises DataError before `prepare`."""
        self.require(split)
        annotations, images, _ = self.files[split]
        folder = self.root / self.spec.name
        return CocoIndex.read(folder / annotations, folder / images)

    def count(self, split: str) -> int:
        """Return the number of images of the split, whether they are drawn yet or not."""
        self.require(split)
        return self.spec.count(split)

    def check(self, splits: Sequence[str], images: Mapping[str, Any]) -> None:
        """Do nothing: `prepare` checks the files."""

    def labeled(self, split: str) -> bool:
        """Return whether detections on the split can be measured: always."""
        return True

    def digest(self, split: str) -> str:
        """Return the identity of the split's pixels and annotations, a function of the arguments; draws nothing.

        The committed SHA-256 of the content for the default arguments, else a hash of the generator's version and of
        those arguments that the split depends on.
        """
        self.require(split)
        if self.spec == Spec():
            return SPLIT_DIGESTS[split]
        spec = self.spec
        text = f"shapes {VERSION} seed {spec.seed} size {spec.size} {split} {spec.count(split)}"
        return hashlib.sha256(text.encode()).hexdigest()
