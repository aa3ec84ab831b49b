"""Decode an image file to RGB, turned as its EXIF tag and the annotation file state."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from paa.datasets.errors import ImageError

if TYPE_CHECKING:
    from paa.datasets.formats.coco_index import CocoIndex

EXIF = ("auto", "apply", "ignore")
"""data.exif, see `orientation_for`."""

BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What PIL raises for files that are no images, or not whole: its readers trust the numbers that they find."""

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
    except FileNotFoundError:
        raise ImageError(missing(index, i)) from None
    except BROKEN as error:
        raise ImageError(undecodable(index, i, reason(error))) from None
    turn = orientation_for(index.exif, orientation, image.size, stated(index, i))
    if turn is None:
        raise ImageError(wrong_size(index, i, image.size, orientation))
    return turned(image, turn)


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
    orientation = image.getexif().get(_ORIENTATION_TAG, 1)
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


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Turn the image as a viewer does that reads EXIF orientation 1 to 8."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def stated(index: CocoIndex, i: int) -> tuple[int, int]:
    """Return (width, height) of the image at position i, as the annotation file has them."""
    return int(index.widths[i]), int(index.heights[i])


def reason(error: BaseException) -> str:
    """Return what PIL says of a file, in a line and without the file's name, which the message has already."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image of a known kind"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def missing(index: CocoIndex, i: int) -> str:
    """Return the line about the image at position i whose file is not there."""
    return f"{index.image_path(i)}: no such file, image id {int(index.image_ids[i])} of {index.path}"


def undecodable(index: CocoIndex, i: int, why: str) -> str:
    """Return the line about the image at position i whose file cannot be decoded."""
    return f"{index.image_path(i)}: cannot be decoded ({why}), image id {int(index.image_ids[i])} of {index.path}"


def wrong_size(index: CocoIndex, i: int, size: tuple[int, int], orientation: int) -> str:
    """Return the line about the image at position i whose size (w, h) is not the one that the annotations state."""
    width, height = stated(index, i)
    note = f" (EXIF orientation {orientation}, data.exif={index.exif})" if orientation > 1 else ""
    return (
        f"{index.image_path(i)}: is {size[0]} x {size[1]} pixels{note}, but {index.path} states {width} x {height}"
        f" for image id {int(index.image_ids[i])}"
    )
