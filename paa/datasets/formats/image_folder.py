"""Images without annotations, as an index: what `predict` looks at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from paa.datasets.errors import DataError, ImageError
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.images import BROKEN, orientation_of, reason

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Endings of the files that are taken for images."""


def folder_index(path: str | Path, categories: Sequence[Sequence[object]]) -> CocoIndex:
    """Every image below `path` (a folder, or one image file), with ids from 1 in the order of their names.

    Images are turned as their EXIF orientation says.

    categories  [id, name] of each class, in the order of the labels.
    DataError where there is no such folder or no image in it; ImageError naming a file that is none.
    """
    root = Path(path)
    if root.is_file():
        files, root = [root], root.parent
    elif root.is_dir():
        files = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    else:
        raise DataError(f"images={path}: no such folder or file")
    if not files:
        raise DataError(f"images={path}: holds no image ({', '.join(sorted(SUFFIXES))})")
    sizes = np.array([_size(file) for file in files], dtype=np.int64)
    none = np.zeros(0, dtype=np.int64)
    return CocoIndex(
        path=root,
        image_dir=root,
        image_ids=np.arange(1, len(files) + 1),
        file_names=np.array([str(file.relative_to(root)) for file in files]),
        widths=sizes[:, 0],
        heights=sizes[:, 1],
        offsets=np.zeros(len(files) + 1, dtype=np.int64),
        boxes=np.zeros((0, 4)),
        areas=np.zeros(0),
        labels=none,
        crowd=none.astype(bool),
        annotation_ids=none,
        category_ids=np.array([int(str(number)) for number, _ in categories], dtype=np.int64),
        category_names=tuple(str(name) for _, name in categories),
        exif="apply",  # as the person sees them who asks what is on them
    )


def _size(file: Path) -> tuple[int, int]:
    """(width, height) as a viewer shows the image."""
    try:
        with Image.open(file) as image:
            width, height = image.size
            return (height, width) if orientation_of(image) >= 5 else (width, height)
    except BROKEN as error:
        raise ImageError(f"{file}: is not an image ({reason(error)})") from None
