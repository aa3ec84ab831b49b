"""A data set that lies in a folder, in whatever layout: read, cleaned of what cannot be used, checked, named."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from paa import checks
from paa.datasets.cache import annotation_digest
from paa.datasets.errors import DataError
from paa.datasets.findings import check_mode
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.formats.coco_json import Lists, load
from paa.datasets.image_check import VERIFY, applied_orientations, drop_unusable, require_usable, scan_images
from paa.datasets.images import EXIF
from paa.datasets.targets import training_boxes

_PARSED: dict[tuple[str, ...], CocoIndex] = {}
"""What this process has read, by the digest of its content and where it lies: the jobs of a sweep share one."""


class FolderSource:
    """Splits that are files of annotations and folders of images below a root folder; subclasses say which.

    files       of each split: annotation file, image folder (below the root), and whether it must have annotations.
    optional    splits that may be absent. `expected` says what the root folder must be.

    root        the folder.
    cache_dir   where digests of annotations and what is known of image files are remembered; None: the user's cache
                folder.
    split       the split that is evaluated.
    on_invalid  "error": an image or box that cannot be used is refused; "drop": all such are left out and counted.
    verify      how image files are looked at before training: "decode", all of each; "size", their headers; "none".
    exif        what is done about the orientation in image files: "auto", "apply" or "ignore", see
                `images.orientation_for`.
    """

    files: dict[str, tuple[str, str, bool]]
    optional: tuple[str, ...] = ()
    expected: str

    def __init__(
        self,
        root: str | Path | None,
        cache_dir: str | Path | None = None,
        *,
        split: str = "val",
        on_invalid: str = "error",
        verify: str = "decode",
        exif: str = "auto",
    ) -> None:
        if not isinstance(root, str | Path) or not str(root).strip():
            raise checks.OutOfRange("root", f"={root}: must be {self.expected}")
        self.root = Path(root).expanduser()
        self.cache_dir = cache_dir
        self.split = checks.choice("split", split, self.names)
        self.on_invalid = check_mode(on_invalid)
        self.verify = checks.choice("verify", verify, VERIFY)
        self.exif = checks.choice("exif", exif, EXIF)
        self._read: dict[str, CocoIndex] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all splits, whether they are there or not."""
        return tuple(self.files)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that are there, as far as they are optional."""
        return tuple(s for s in self.files if s not in self.optional or (self.root / self.files[s][0]).exists())

    def read_annotations(self, path: Path, labeled: bool) -> Lists:
        """Read an annotation file into the lists of a COCO file; a new format overrides this. Raises AnnotationError.

        labeled  whether the split must have annotations.
        """
        return load(path, labeled=labeled)

    def prepare(self) -> None:
        """Raises DataError where the root folder is not there; annotation files are missed when they are asked for."""
        if not self.root.is_dir():
            raise DataError(f"data.root={self.root}: no such folder; must be {self.expected}")

    def index(self, split: str) -> CocoIndex:
        """The split's images and annotations, read once. Raises DataError, naming what is missing or broken.

        With on_invalid="drop" it is without what cannot be used, image files included (as far as `verify` looks).
        """
        if split not in self._read:
            index = self._parsed(split)
            if self.on_invalid == "drop" and self.verify != "none":
                index = drop_unusable(index, scan_images(index, self.verify, self.cache_dir))
            self._read[split] = index
        return self._read[split]

    def count(self, split: str) -> int:
        """Images of the split. Raises as `index`."""
        return len(self.index(split))

    def check(self, splits: Sequence[str]) -> None:
        """DataError for all that would stop a training on "train", if that is among `splits`, or work on the others.

        Image files are looked at as `verify` says; splits must have the classes of the first of them.
        """
        for split in splits:
            index = self.index(split)
            if self.on_invalid == "error" and self.verify != "none":
                require_usable(index, scan_images(index, self.verify, self.cache_dir))
            index.require_classes(self.index(splits[0]).categories)
            if split == "train" and not len(training_boxes(index).boxes):
                raise DataError(f"{index.path}: has no box to train on; must list boxes of some width and height")

    def labeled(self, split: str) -> bool:
        """Whether detections on the split can be measured: it must have annotations, or it has some. Raises as `index`.

        Of a split without, a file for the server that keeps them is written in place of numbers.
        """
        return self.files[split][2] or len(self.index(split).annotation_ids) > 0

    def public_name(self, split: str) -> str:
        """What the split is called in the name of that file."""
        return split

    def digest(self, split: str) -> str:
        """SHA-256 of the split's image list and annotations, the same wherever they lie. Raises as `index`.

        What is left out of them does not count, and that an image is turned as its EXIF says does.
        """
        digest = self._own_digest(split)
        if self.on_invalid == "drop" and self.verify != "none":
            index = self.index(split)
            digest = digest if len(index) == len(self._parsed(split)) else index.digest()
        if self.exif != "ignore":
            index = self.index(split)
            turned = applied_orientations(index, scan_images(index, "size", self.cache_dir))
            digest = hashlib.sha256(f"{digest} turned {turned}".encode()).hexdigest() if turned else digest
        return digest

    def _own_digest(self, split: str) -> str:
        """Of the annotations alone, remembered."""
        paths = self._paths(split)
        read = partial(self._load, split, *paths)
        return annotation_digest(paths[0], self.cache_dir, read=read, on_invalid=self.on_invalid)

    def _parsed(self, split: str) -> CocoIndex:
        """The split as the annotations have it, whatever its image files are like."""
        paths = self._paths(split)
        key = (self._own_digest(split), str(paths[0]), str(paths[1]), self.on_invalid)
        if key not in _PARSED:
            while len(_PARSED) >= 8:
                del _PARSED[next(iter(_PARSED))]
            _PARSED[key] = self._load(split, *paths)
        return replace(_PARSED[key], exif=self.exif)

    def _load(self, split: str, annotation_file: Path, image_dir: Path, labeled: bool) -> CocoIndex:
        return CocoIndex.from_lists(
            self.read_annotations(annotation_file, labeled),
            path=annotation_file,
            image_dir=image_dir,
            labeled=labeled,
            on_invalid=self.on_invalid,
            root=self.root,
        )

    def _paths(self, split: str) -> tuple[Path, Path, bool]:
        self.prepare()
        if split not in self.files:
            raise DataError(f"split {split!r}: must be one of {', '.join(self.splits)}")
        annotation_file, image_dir, labeled = self.files[split]
        if not (self.root / annotation_file).is_file():
            raise DataError(f"data.root={self.root}: has no {annotation_file}; must be {self.expected}")
        if not (self.root / image_dir).is_dir():
            raise DataError(f"data.root={self.root}: has no folder {image_dir}; must be {self.expected}")
        return self.root / annotation_file, self.root / image_dir, labeled
