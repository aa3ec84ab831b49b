"""A data set in a folder, in whatever format: read it, drop what cannot be used, check it, identify its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from paa import checks
from paa.datasets.cache import cached_digest, file_state
from paa.datasets.errors import DataError
from paa.datasets.findings import ON_INVALID
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.formats.coco_json import Lists, load
from paa.datasets.image_scan import (
    VERIFY,
    applied_orientations,
    content_digest,
    drop_unusable,
    require_usable,
    scan_images,
)
from paa.datasets.images import EXIF, ImageInfo

_PARSED: dict[tuple[str, ...], CocoIndex] = {}
"""Indices that this process has read, by digest and place: the jobs of a sweep share one."""


class Source:
    """What every source states of itself.

    files     {split: (annotation file, image folder, whether it must have annotations)}, below the root folder.
    optional  splits that may be absent.
    expected  describes the root folder in messages.
    """

    NOT_IN_TRAIN_ID: ClassVar[tuple[str, ...]]
    NOT_IN_EVAL_ID: ClassVar[tuple[str, ...]]

    files: dict[str, tuple[str, str, bool]]
    optional: tuple[str, ...] = ()
    expected: str
    root: Path
    split: str

    def __post_init__(self) -> None:
        if not isinstance(self.root, str | Path) or not str(self.root).strip():
            raise checks.OutOfRange("root", f"={self.root}: must be {self.expected}")
        self.root = Path(self.root).expanduser()
        checks.choice("split", self.split, self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all splits, whether they exist or not."""
        return tuple(self.files)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of all splits but the optional ones that do not exist."""
        return tuple(s for s in self.files if s not in self.optional or (self.root / self.files[s][0]).exists())

    def require(self, split: str) -> None:
        """Raise DataError where there is no such split."""
        if split not in self.files:
            raise DataError(f"split {split!r}: must be one of {', '.join(self.splits)}")

    def public_name(self, split: str) -> str:
        """Return what the split is called in the name of a file for the evaluation server."""
        return split


@dataclass(eq=False)
class FolderSource(Source):
    """Splits that are annotation files and folders of images below a root folder.

    root        the folder.
    cache_dir   where digests of annotations and what is known of image files are kept; None: the user's cache folder.
    split       the split that is evaluated.
    on_invalid  "error": an image or box that cannot be used is refused; "drop": all such are left out and counted.
    verify      how image files are checked before training and enter the digest: "decode", all of each; "size", their
                headers and lengths; "none", their names only.
    exif        what is done about the orientation in image files: "auto", "apply" or "ignore", see
                `images.orientation_for`.
    """

    # The content digest of a split replaces where it lies, which images were dropped, how they were read and turned.
    NOT_IN_TRAIN_ID: ClassVar[tuple[str, ...]] = ("root", "split", "on_invalid", "verify", "exif")
    NOT_IN_EVAL_ID: ClassVar[tuple[str, ...]] = NOT_IN_TRAIN_ID

    root: Path
    cache_dir: Path | None = None
    split: str = "val"
    on_invalid: str = "error"
    verify: str = "decode"
    exif: str = "auto"
    _indices: dict[str, CocoIndex] = field(default_factory=dict, init=False, repr=False)
    _scanned: dict[str, list[ImageInfo]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.choice("on_invalid", self.on_invalid, ON_INVALID)
        checks.choice("verify", self.verify, VERIFY)
        checks.choice("exif", self.exif, EXIF)

    def read_annotations(self, path: Path, labeled: bool) -> Lists:
        """Read an annotation file into the lists of a COCO file; a new format overrides this. Raises AnnotationError.

        labeled  whether the split must have annotations.
        """
        return load(path, labeled=labeled)

    def prepare(self) -> None:
        """Raise DataError where the root folder does not exist; annotation files are missed when they are read."""
        if not self.root.is_dir():
            raise DataError(f"data.root={self.root}: no such folder; must be {self.expected}")

    def index(self, split: str) -> CocoIndex:
        """Return the split's images and annotations, read once. Raises DataError, naming what is missing or broken.

        With on_invalid="drop" it lacks what cannot be used, image files included (as far as `verify` looks).
        """
        if split not in self._indices:
            index = self._parsed(split)
            if self.on_invalid == "drop" and self.verify != "none":
                index = drop_unusable(index, scan_images(index, self.verify, self.cache_dir))
            self._indices[split] = index
        return self._indices[split]

    def count(self, split: str) -> int:
        """Return the number of images of the split. Raises as `index`."""
        return len(self.index(split))

    def check(self, splits: Sequence[str], images: Mapping[str, Any]) -> None:
        """Raise DataError for all that would stop a training on "train", if that is among `splits`, or work on others.

        Image files are checked as `verify` says; splits must have the classes of the first of them; something must be
        left to train on under the keys of the node `images`.
        """
        from paa.datasets.targets import trained_on  # needs torch, which an identity of data does without

        for split in splits:
            index = self.index(split)
            if self.on_invalid == "error" and self.verify != "none":
                require_usable(index, self._scan(split))
            index.require_classes(self.index(splits[0]).categories)
            if split == "train":
                trained_on(index, images)

    def labeled(self, split: str) -> bool:
        """Return whether detections can be measured: the split must have annotations, or has some. Raises as `index`.

        For a split without annotations a file for the evaluation server is written instead of numbers.
        """
        return self.files[split][2] or len(self.index(split).annotation_ids) > 0

    def digest(self, split: str) -> str:
        """Return the SHA-256 of the split's annotations and images, wherever they lie. Raises as `index`.

        What is dropped does not count; that an image is turned as its EXIF orientation says does.
        """
        digest, index = self._annotation_digest(split), self.index(split)
        if self.on_invalid == "drop" and len(index) < len(self._parsed(split)):
            digest = index.digest()
        if self.exif != "ignore" and (turned := applied_orientations(index, self._scan(split))):
            digest = hashlib.sha256(f"{digest} turned {turned}".encode()).hexdigest()
        if self.verify != "none":
            content = content_digest(index, self._scan(split), self.verify)
            digest = hashlib.sha256(f"{digest} images {content}".encode()).hexdigest()
        return digest

    def _scan(self, split: str) -> list[ImageInfo]:
        """What is known of the split's image files; this source looks at them only once."""
        if split not in self._scanned:
            level = "size" if self.verify == "none" else self.verify
            self._scanned[split] = scan_images(self.index(split), level, self.cache_dir)
        return self._scanned[split]

    def _annotation_digest(self, split: str) -> str:
        key = json.dumps([3, type(self).__qualname__, str(self.root.resolve()), self.on_invalid, self._state(split)])
        return cached_digest(key, lambda: self._remember(split, self._load(split)), self.cache_dir)

    def _remember(self, split: str, index: CocoIndex) -> str:
        """Keep an index that was read; return its digest."""
        while len(_PARSED) >= 8:
            del _PARSED[next(iter(_PARSED))]
        digest = index.digest()
        _PARSED[self._place(split, digest)] = index
        return digest

    def _place(self, split: str, digest: str) -> tuple[str, ...]:
        return (digest, *map(str, self._paths(split)), self.on_invalid)

    def _state(self, split: str) -> list[object]:
        """What changes whenever the annotations do, known without reading them."""
        path, _ = self._paths(split)
        return [self.files[split][0], file_state(path)]

    def _parsed(self, split: str) -> CocoIndex:
        """The split as the annotations state it, whatever its image files are like."""
        key = self._place(split, self._annotation_digest(split))
        if key not in _PARSED:
            self._remember(split, self._load(split))
        return replace(_PARSED[key], exif=self.exif)

    def _load(self, split: str) -> CocoIndex:
        path, image_dir = self._paths(split)
        labeled = self.files[split][2]
        return CocoIndex.from_lists(
            self.read_annotations(path, labeled),
            path=path,
            image_dir=image_dir,
            labeled=labeled,
            on_invalid=self.on_invalid,
            root=self.root,
        )

    def _paths(self, split: str) -> tuple[Path, Path]:
        """Annotation file and image folder of the split, which exist."""
        self.prepare()
        self.require(split)
        path, image_dir = (self.root / name for name in self.files[split][:2])
        if not path.is_file():
            raise DataError(f"data.root={self.root}: has no {self.files[split][0]}; must be {self.expected}")
        if not image_dir.is_dir():
            raise DataError(f"data.root={self.root}: has no folder {self.files[split][1]}; must be {self.expected}")
        return path, image_dir
