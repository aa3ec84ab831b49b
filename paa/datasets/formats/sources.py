"""Where data come from: each source prepares itself, names its splits, and gives an index and an identity of each.

A source never reads or makes anything in its constructor; `prepare` does what is needed before an index is asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from paa import checks
from paa.datasets.cache import cached_digest
from paa.datasets.errors import AnnotationError, DataError
from paa.datasets.findings import Findings
from paa.datasets.formats import voc
from paa.datasets.formats.base import FolderSource
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.shapes.generate import SPLIT_DIGESTS, VERSION, Spec, generate


class Custom(FolderSource):
    """One's own data in COCO format.

    root       folder with images/, annotations/train.json, annotations/val.json and, if there is one, test.json, which
               may be without annotations.
    split      the split that is evaluated: train, val or test.
    Other arguments are those of `FolderSource`.
    """

    files = {split: (f"annotations/{split}.json", "images", split != "test") for split in ("train", "val", "test")}  # noqa: RUF012
    optional = ("test",)
    expected = "a folder with images/, annotations/train.json, annotations/val.json and perhaps annotations/test.json"


class Coco(FolderSource):
    """COCO 2017 as it is distributed.

    root       folder with annotations/, train2017/, val2017/ and, for the split test-dev, test2017/.
    split      the split that is evaluated: train, val or test-dev.
    exif       "ignore" unless said otherwise: pycocotools and the authors' code leave images as they are stored.
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

    def __init__(
        self,
        root: str | Path | None,
        cache_dir: str | Path | None = None,
        *,
        split: str = "val",
        on_invalid: str = "error",
        verify: str = "decode",
        exif: str = "ignore",
    ) -> None:
        super().__init__(root, cache_dir, split=split, on_invalid=on_invalid, verify=verify, exif=exif)

    def public_name(self, split: str) -> str:
        """As COCO's server has it: test-dev2017."""
        return f"{split}2017"


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

    optional = ("test",)
    expected = "a folder with Annotations/, JPEGImages/ and ImageSets/Main/ that holds the lists of the splits"

    def __init__(
        self,
        root: str | Path | None,
        train_list: str = "train",
        val_list: str = "val",
        test_list: str = "test",
        classes: Sequence[str] | None = None,
        difficult: str = "ignore",
        split: str = "val",
        on_invalid: str = "error",
        verify: str = "decode",
        exif: str = "auto",
        cache_dir: str | Path | None = None,
    ) -> None:
        lists = {"train": train_list, "val": val_list, "test": test_list}
        for name, value in lists.items():
            if not isinstance(value, str) or not value or Path(value).name != value:
                raise checks.OutOfRange(f"{name}_list", f"={value}: must name a list in {voc.LISTS}/, without .txt")
        self.files = {name: (f"{voc.LISTS}/{value}.txt", voc.IMAGES, True) for name, value in lists.items()}
        super().__init__(root, cache_dir, split=split, on_invalid=on_invalid, verify=verify, exif=exif)
        self.lists = lists
        self.classes = None if classes is None else _class_names(classes)
        self.difficult = checks.choice("difficult", difficult, voc.DIFFICULT)
        self._images: dict[str, list[voc.VocImage]] = {}
        self._digests: dict[str, str] = {}

    def _own_digest(self, split: str) -> str:
        if split not in self._digests:
            self._digests[split] = self._looked_up(split)
        return self._digests[split]

    def _looked_up(self, split: str) -> str:
        """The digest by size and time of every XML file, of which there may be many: once for each source."""
        seen, files = hashlib.sha256(), voc.image_files(self.root)
        for name in dict.fromkeys(["train", split]):  # the training split has a say in the classes
            for listed in voc.listed(self._paths(name)[0]):
                state = _state(self.root / voc.ANNOTATIONS / f"{listed}.xml")
                seen.update(f"{listed} {state} {files.get(listed)}\n".encode("utf-8", "surrogatepass"))
            seen.update(b"\n")
        key = json.dumps(["voc 1", str(self.root.resolve()), self.classes, self.difficult, self.on_invalid])
        key += seen.hexdigest()
        return cached_digest(key, lambda: self._load(split, *self._paths(split)).digest(), self.cache_dir)

    def _paths(self, split: str) -> tuple[Path, Path, bool]:
        paths = super()._paths(split)
        if not (self.root / voc.ANNOTATIONS).is_dir():
            raise DataError(f"data.root={self.root}: has no folder {voc.ANNOTATIONS}; must be {self.expected}")
        return paths

    def _load(self, split: str, annotation_file: Path, image_dir: Path, labeled: bool) -> CocoIndex:
        classes = self.classes or voc.class_names(self._found("train"))
        if not classes:
            problem = "no object in the XML of its images, so that there is no class"
            raise AnnotationError(f"{self._paths('train')[0]}: {problem}; data.classes=[cat,dog] names them")
        known = "data.classes" if self.classes else f"those of {self.files['train'][0]}"
        found = voc.as_coco(self._found(split), classes, self.difficult, known)
        index = CocoIndex.from_lists(
            found.lists, path=annotation_file, image_dir=image_dir, on_invalid="drop", root=self.root
        )
        told = Findings([replace(one, first=found.told(one.first, annotation_file)) for one in index.invalid])
        refusal = told.refusal() if self.on_invalid == "error" else None
        if refusal:
            raise AnnotationError(refusal)
        return replace(index, invalid=told.all)

    def _found(self, split: str) -> list[voc.VocImage]:
        self._paths(split)
        if split not in self._images:
            self._images[split] = voc.read_images(self.root, self.lists[split])
        return self._images[split]


def _state(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return "missing"
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _class_names(value: Sequence[str]) -> list[str]:
    names = list(checks.sequence("classes", value, "null or a list of names, [cat,dog]"))
    if not names or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise checks.OutOfRange("classes", f"={names}: must be null or a list of different names, [cat,dog]")
    return names


class Shapes:
    """The embedded data set, drawn on first use.

    root              folder below which it is drawn, in a folder of its own.
    seed              of the drawing, 0 ... 2**32 - 1.
    train, val, test  images of each split; fewer images are the first of more.
    size              side of the images in pixels, a multiple of 32 from 64 on.
    split             the split that is evaluated: train, val or test.
    """

    splits = names = ("train", "val", "test")

    def __init__(
        self,
        root: str | Path,
        seed: int = 0,
        train: int = 4000,
        val: int = 500,
        test: int = 500,
        size: int = 128,
        split: str = "val",
    ) -> None:
        if not isinstance(root, str | Path) or not str(root).strip():
            raise checks.OutOfRange("root", f"={root}: must be a folder that can be written")
        self.root = Path(root).expanduser()
        self.split = checks.choice("split", split, self.names)
        self.spec = Spec(seed, size, train, val, test)

    def prepare(self, *, quiet: bool = False) -> None:
        """Draw the data set if it is not there; of several processes at it one wins, the others take its folder."""
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

    def count(self, split: str) -> int:
        """Images of the split, whether they are drawn yet or not."""
        self._known(split)
        return self.spec.count(split)

    def check(self, splits: Sequence[str]) -> None:
        """Nothing can be wrong with it."""

    def labeled(self, split: str) -> bool:
        """Whether detections on the split can be measured: always."""
        return True

    def public_name(self, split: str) -> str:
        """What the split is called elsewhere: the same."""
        return split

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
