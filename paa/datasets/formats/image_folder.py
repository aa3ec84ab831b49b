"""Images without annotations, as an index: what `predict` looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from paa.datasets.errors import DataError, ImageError
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.image_scan import inspect

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Endings of the files that are taken for images."""


def folder_index(path: str | Path, categories: Sequence[Sequence[object]], without: Path | None = None) -> CocoIndex:
    """Index every image below `path` (a folder, or one image file), with ids from 1 in the order of their names.

    Images are turned as their EXIF orientation says.

    categories  [id, name] of each class, in the order of the labels.
    without     a folder whose files are left out: where pictures of an earlier call lie.
    DataError where there is no such folder or no image in it; ImageError naming a file that is none.
    """
    root = Path(path)
    if root.is_file():
        files, root = [root], root.parent
    elif root.is_dir():
        files = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if without is not None:
            files = [p for p in files if not p.resolve().is_relative_to(without.resolve())]
    else:
        raise DataError(f"images={path}: no such folder or file")
    if not files:
        raise DataError(f"images={path}: holds no image ({', '.join(sorted(SUFFIXES))})")
    images = []
    for number, file in enumerate(files, start=1):
        info = inspect(file, "size")
        if info.problem:
            raise ImageError(f"{file}: is not an image ({info.problem})")
        width, height = info.size[::-1] if info.orientation >= 5 else info.size
        images.append({"id": number, "file_name": str(file.relative_to(root)), "width": width, "height": height})
    classes = [{"id": number, "name": name} for number, name in categories]
    lists = {"images": images, "annotations": [], "categories": classes}
    index = CocoIndex.from_lists(lists, path=root, image_dir=root)
    return replace(index, exif="apply")  # as the person sees them who asks what is on them
