"""Check the image files of a split before training starts: refuse the split, or drop what is broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from paa.datasets.errors import ImageError
from paa.datasets.findings import FOLLOWING, Finding, counted, refusal
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.images import ImageInfo, image_problem, turn_of

VERIFY = ("decode", "size", "none")
"""data.verify: all of every image file is read, or its header, or nothing."""


def problems(index: CocoIndex, known: Sequence[ImageInfo]) -> tuple[list[Finding], np.ndarray]:
    """Find what is wrong with the image files of `index`, and which images are fine (bool [I])."""
    found = [image_problem(index, i, info) for i, info in enumerate(known)]
    return [one for one in found if one], np.array([one is None for one in found], dtype=bool)


def require_usable(index: CocoIndex, known: Sequence[ImageInfo]) -> None:
    """Raise ImageError, one line, where an image file of `index` cannot be used."""
    if problem := refusal(problems(index, known)[0]):
        raise ImageError(problem)


def drop_unusable(index: CocoIndex, known: Sequence[ImageInfo]) -> CocoIndex:
    """Return `index` without images whose files cannot be used, counted in `invalid`. ImageError where none is left."""
    found, good = problems(index, known)
    if not found:
        return index
    if not good.any():
        raise ImageError(f"{index.path}: no image can be used; {refusal(found, 'nothing is left')}")
    lost = index.annotation_ids[~good[index.image_of]]
    if len(lost):
        line = f"{index.path}: annotation id {lost[0]} is of an image that is left out"
        found.append(Finding(FOLLOWING, line, len(lost)))
    return replace(index.subset(np.flatnonzero(good)), invalid=counted([*index.invalid, *found]))


def applied_orientations(index: CocoIndex, known: Sequence[ImageInfo]) -> list[tuple[int, int]]:
    """List (image id, EXIF orientation) of every image that decoding turns."""
    turns = [(int(index.image_ids[i]), turn_of(index, i, info)) for i, info in enumerate(known)]
    return [(identity, turn) for identity, turn in turns if turn is not None and turn > 1]
