"""Decode an image file to RGB, turned as its EXIF tag and the annotation file state."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image

from paa.datasets.errors import ImageError
from paa.datasets.findings import Finding

if TYPE_CHECKING:
    from paa.datasets.formats.coco_index import CocoIndex

EXIF = ("auto", "apply", "ignore")
"""data.exif, see `orientation_for`."""

BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, MemoryError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)
"""What PIL raises for files that are no images, or not whole: its readers trust the numbers that they find."""

MISSING = "no such file"

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ImageInfo:
    """What is known of a file.

    problem      what is wrong with it, "" if nothing is.
    level        how it was looked at, see `image_scan.VERIFY`; "" where it could not be opened, which is not
                 remembered.
    size         (width, height) of its pixels as they are stored; (0, 0) where they cannot be read.
    orientation  that EXIF states, 1 to 8.
    colors       PIL's mode: RGB, L, P, CMYK, ...
    length       bytes of the file.
    content      128-bit BLAKE2b of its bytes, in hex; "" unless all of it was read (level "decode").
    """

    problem: str = ""
    level: str = "decode"
    size: tuple[int, int] = (0, 0)
    orientation: int = 1
    colors: str = ""
    length: int = 0
    content: str = ""


def decode(index: CocoIndex, i: int) -> Image.Image:
    """Decode the image at position i to RGB uint8 of the size that the annotation file states.

    Of several frames it is the first; it is turned as `index.exif` says. Raises ImageError, naming file and id, where
    the file is missing, cannot be decoded or has another size.
    """
    try:
        with Image.open(index.image_path(i)) as file:
            file.load()
            orientation = 1 if index.exif == "ignore" else orientation_of(file)
            image = to_rgb(file)
            info = ImageInfo(size=image.size, orientation=orientation)
    except FileNotFoundError:
        info = ImageInfo(MISSING)
    except BROKEN as error:
        info = ImageInfo(reason(error))
    if found := image_problem(index, i, info):
        raise ImageError(found.first)
    turn = turn_of(index, i, info)
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def image_problem(index: CocoIndex, i: int, info: ImageInfo) -> Finding | None:
    """Return what is wrong with the file of the image at position i, None where it can be used."""
    path, identity = index.image_path(i), f"image id {int(index.image_ids[i])}"
    if info.problem == MISSING:
        return Finding("image files that are missing", f"{path}: {MISSING}, {identity} of {index.path}")
    if info.problem:
        line = f"{path}: cannot be decoded ({info.problem}), {identity} of {index.path}"
        return Finding("image files that cannot be decoded", line)
    if turn_of(index, i, info) is not None:
        return None
    note = f" (EXIF orientation {info.orientation}, data.exif={index.exif})" if info.orientation > 1 else ""
    is_, states = "{} x {} pixels".format(*info.size), f"{index.widths[i]} x {index.heights[i]}"
    return Finding(
        "images of another size than the annotations state",
        f"{path}: is {is_}{note}, but {index.path} states {states} for {identity}",
    )


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any image to RGB of 8 bits.

    Alpha is left out, not blended, as OpenCV and most training code do; palettes are looked up; of 16 bits the upper
    eight count (PIL's own conversion cuts at 255, which makes such images white); inverted CMYK, as Adobe writes it
    into JPEG, is PIL's to set right. ValueError for pixels whose range is not known (floats, 32-bit integers).
    """
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode == "I" and (values.min() < 0 or values.max() > 65535):
            raise ValueError("32-bit pixels, of which black and white are not known; must have 8 or 16 bits")
        return Image.fromarray((values.astype(np.int64) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels, of which black and white are not known; must have 8 or 16 bits")
    if image.mode in ("P", "PA") and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")  # the same colors; directly, PIL warns
    return image.convert("RGB")


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, that an open file states; 1 where it states none, or nonsense.

    TIFF always gives 1: PIL itself turns such files.
    """
    if image.format == "TIFF":
        return 1
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in _TURNS else 1


def orientation_for(exif: str, orientation: int, size: tuple[int, int], stated: tuple[int, int]) -> int | None:
    """Return the orientation that gives pixels of `size` (w, h) the `stated` size; None where none does.

    exif  "ignore": none is applied (pycocotools, authors' code). "apply": the file's own. "auto": the file's own where
          the stated size allows it, as viewers and annotation tools show it; else none, if the stated size is that of
          the pixels as they are stored.
    """
    for choice in {"ignore": (1,), "apply": (orientation,), "auto": (orientation, 1)}[exif]:
        if (size[::-1] if choice >= 5 else size) == stated:
            return choice
    return None


def turn_of(index: CocoIndex, i: int, info: ImageInfo) -> int | None:
    """Return `orientation_for` the image at position i."""
    return orientation_for(index.exif, info.orientation, info.size, (int(index.widths[i]), int(index.heights[i])))


def reason(error: BaseException) -> str:
    """Return what PIL says of a file, in a line and without the file's name, which the message has already."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image of a known kind"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
