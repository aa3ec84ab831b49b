"""Check the image files of a split before training starts: refuse the split, or drop what is broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from paa.datasets.errors import ImageError
from paa.datasets.findings import FOLLOWING, Findings
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.image_scan import MISSING, ImageInfo, scan
from paa.datasets.images import missing, orientation_for, stated, undecodable, wrong_size

VERIFY = ("decode", "size", "none")
"""data.verify: all of every image file is read, or its header, or nothing."""

_MISSING = "image files that are missing"
_UNDECODABLE = "image files that cannot be decoded"
_SIZE = "images of another size than the annotations state"


def scan_images(
    index: CocoIndex, verify: str, cache_dir: str | Path | None = None, *, quiet: bool = False
) -> list[ImageInfo]:
    """Scan every image of `index`, where that is not known yet; `verify` is "decode" or "size"."""
    return scan(index.image_dir, index.file_names.tolist(), verify, cache_dir, quiet=quiet)


def problems(index: CocoIndex, known: Sequence[ImageInfo]) -> tuple[Findings, np.ndarray]:
    """Find what is wrong with the image files of `index`, and which images are fine (bool [I])."""
    found, good = Findings(), np.ones(len(index), dtype=bool)
    for i, info in enumerate(known):
        problem = _problem(index, i, info)
        if problem is not None:
            good[i] = False
            found.add(problem[0], 1, problem[1])
    return found, good


def require_usable(index: CocoIndex, known: Sequence[ImageInfo]) -> None:
    """Raise ImageError, one line, where an image file of `index` cannot be used."""
    refusal = problems(index, known)[0].refusal()
    if refusal:
        raise ImageError(refusal)


def drop_unusable(index: CocoIndex, known: Sequence[ImageInfo]) -> CocoIndex:
    """Return `index` without images whose files cannot be used, counted in `invalid`. ImageError where none is left."""
    found, good = problems(index, known)
    if good.all():
        return index
    if not good.any():
        raise ImageError(f"{index.path}: no image can be used; {found.refusal('nothing is left')}")
    lost = int((~good[index.image_of]).sum())
    if lost:
        first = index.annotation_ids[(~good[index.image_of]).argmax()]
        found.add(FOLLOWING, lost, f"{index.path}: annotation id {first} is of an image that is left out")
    every = Findings(index.invalid)
    for one in found.all:
        every.add(one.kind, one.count, one.first)
    return replace(index.subset(np.flatnonzero(good)), invalid=every.all)


def applied_orientations(index: CocoIndex, known: Sequence[ImageInfo]) -> list[tuple[int, int]]:
    """List (image id, EXIF orientation) of every image that decoding turns."""
    found = []
    for i, info in enumerate(known):
        turn = orientation_for(index.exif, info.orientation, info.size, stated(index, i))
        if turn is not None and turn > 1:
            found.append((int(index.image_ids[i]), turn))
    return found


def _problem(index: CocoIndex, i: int, info: ImageInfo) -> tuple[str, str] | None:
    """Kind and line of what is wrong with the file of the image at position i."""
    if info.problem == MISSING:
        return _MISSING, missing(index, i)
    if info.problem:
        return _UNDECODABLE, undecodable(index, i, info.problem)
    if orientation_for(index.exif, info.orientation, info.size, stated(index, i)) is None:
        return _SIZE, wrong_size(index, i, info.size, info.orientation)
    return None
