"""A COCO annotation file as compact arrays: the one form in which the project knows a data set.

Legend: I images, N annotations, C categories. Boxes are xywh in pixels of the stored image.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from paa import checks
from paa.datasets.errors import AnnotationError
from paa.datasets.findings import ON_INVALID, Finding, counted, refusal
from paa.datasets.formats.coco_clean import clean, offsets_of
from paa.datasets.formats.coco_json import Lists, load


@dataclass(frozen=True)
class CocoIndex:
    """Images, annotations and categories of one split. Arrays, so that forked workers share them at no cost.

    path, image_dir  the annotation file, and the folder that file names are relative to.
    image_ids [I] int64 ascending, file_names [I] str, widths [I] and heights [I] int64 as the file states them.
    offsets [I + 1] int64: the annotations of image i stand at offsets[i] ... offsets[i + 1] - 1, in the file's order.
    boxes [N, 4] float64 xywh, areas [N] float64, labels [N] int64 in 0 ... C - 1, crowd [N] bool,
    annotation_ids [N] int64, all as stored.
    category_ids [C] int64 ascending, with the file's gaps; category_names of the same order.
    invalid: what was left out for being wrong (data.on_invalid=drop).
    exif: what is done about the orientation that image files state of themselves, see `images.orientation_for`.
    """

    path: Path
    image_dir: Path
    image_ids: np.ndarray
    file_names: np.ndarray
    widths: np.ndarray
    heights: np.ndarray
    offsets: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    annotation_ids: np.ndarray
    category_ids: np.ndarray
    category_names: tuple[str, ...]
    invalid: tuple[Finding, ...] = ()
    exif: str = "ignore"

    @classmethod
    def read(
        cls, annotation_file: str | Path, image_dir: str | Path, *, labeled: bool = True, on_invalid: str = "error"
    ) -> CocoIndex:
        """Read a COCO json file. `labeled=False` takes files without annotations (COCO's test sets) as well.

        Other arguments and errors as `from_lists`.
        """
        path = Path(annotation_file)
        lists = load(path, labeled=labeled)
        return cls.from_lists(lists, path=path, image_dir=image_dir, labeled=labeled, on_invalid=on_invalid)

    @classmethod
    def from_lists(
        cls,
        lists: Lists,
        *,
        path: str | Path,
        image_dir: str | Path,
        labeled: bool = True,
        on_invalid: str = "error",
        root: str | Path | None = None,
    ) -> CocoIndex:
        """Make the index of COCO's lists "images", "annotations", "categories", wherever they come from.

        path        what messages name, and where the lists were read.
        labeled    False: "annotations" may be missing.
        on_invalid  "error": an image or annotation that cannot be used is refused; "drop": it is left out and stands
                    in `invalid`.
        root        the folder that file names must not lead out of; `image_dir` where None.
        Images are put in the order of their ids, labels count the category ids in ascending order, `area` falls back
        to that of the box and `iscrowd` to 0. Raises AnnotationError with one line: file, id, what would be right.
        """
        path, image_dir = Path(path), Path(image_dir)
        checks.choice("on_invalid", on_invalid, ON_INVALID)
        lists = lists if labeled else {"annotations": [], **lists}
        depth = len(image_dir.relative_to(root).parts) if root is not None and image_dir.is_relative_to(root) else 0
        arrays, found = clean(lists, path, depth)
        if on_invalid == "error" and (problem := refusal(found)):
            raise AnnotationError(problem)
        return cls(path=path, image_dir=image_dir, invalid=counted(found), **arrays)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.image_ids)

    @property
    def classes(self) -> int:
        """Number of categories."""
        return len(self.category_ids)

    @property
    def image_of(self) -> np.ndarray:
        """[N] int64: position of the image of each annotation."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def categories(self) -> list[list[Any]]:
        """[id, name] of each class, in the order of the labels."""
        return [list(pair) for pair in zip(self.category_ids.tolist(), self.category_names, strict=True)]

    def require_classes(self, categories: Sequence[Sequence[Any]]) -> None:
        """AnnotationError where the classes are not `categories` ([id, name], in order): labels would mean others."""
        own, other = [tuple(c) for c in self.categories], [tuple(c) for c in categories]
        if own != other:
            ours, theirs = (sorted(set(a) - set(b)) for a, b in ((own, other), (other, own)))
            difference = f"{ours[0] if ours else 'nothing'} here, {theirs[0] if theirs else 'nothing'} there"
            raise AnnotationError(
                f"{self.path}: lists other categories (id, name) than training has: {difference}; must list the same"
            )

    def image_path(self, i: int) -> Path:
        """Of the image at position i."""
        return self.image_dir / str(self.file_names[i])

    def subset(self, keep: np.ndarray) -> CocoIndex:
        """Return the index of only the images at positions `keep` (ascending int64), with all categories."""
        keep = np.unique(np.asarray(keep, dtype=np.int64))
        rows = np.isin(self.image_of, keep)
        chosen = {name: getattr(self, name)[keep] for name in ("image_ids", "file_names", "widths", "heights")}
        chosen |= {n: getattr(self, n)[rows] for n in ("boxes", "areas", "labels", "crowd", "annotation_ids")}
        return replace(self, **chosen, offsets=offsets_of(np.diff(self.offsets)[keep]))

    def to_coco(self) -> Any:
        """Make the ground truth a `pycocotools.coco.COCO`: values as stored, crowds marked; prints and reads nothing.

        Annotations carry box, area and crowd flag but no segmentation: what box evaluation reads.
        """
        from pycocotools.coco import COCO

        images = {"id": self.image_ids, "file_name": self.file_names, "width": self.widths, "height": self.heights}
        of = {"image_id": self.image_ids[self.image_of], "category_id": self.category_ids[self.labels]}
        boxes = {"bbox": self.boxes, "area": self.areas, "iscrowd": self.crowd.astype(np.int64)}
        coco = COCO()
        coco.dataset = {
            "images": _entries(images),
            "annotations": _entries({"id": self.annotation_ids, **of, **boxes}),
            "categories": [{"id": identity, "name": name} for identity, name in self.categories],
        }
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
        return coco

    def digest(self) -> str:
        """Return the SHA-256 of all that training or evaluation reads of the file: image list, annotations, categories.

        The order of images and categories in the file does not count, nor do paths and what the index leaves out.
        """
        sha = hashlib.sha256(b"coco index 1\n")
        for name in (*self.file_names.tolist(), "", *self.category_names, ""):
            sha.update(name.encode("utf-8", "surrogatepass") + b"\0")
        whole = (self.image_ids, self.widths, self.heights, self.offsets, self.labels, self.crowd)
        for array in (*whole, self.annotation_ids, self.category_ids):
            sha.update(array.astype("<i8").tobytes())
        for array in (self.boxes, self.areas):
            sha.update(array.astype("<f8").tobytes())
        return sha.hexdigest()


def _entries(columns: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)]
