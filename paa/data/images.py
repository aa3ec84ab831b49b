"""Decoding an image file to RGB."""

from __future__ import annotations

import struct
import zlib

from PIL import Image

from paa.data.coco import CocoIndex
from paa.data.errors import ImageError

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


def decode(index: CocoIndex, i: int) -> Image.Image:
    """The image at position i, as RGB uint8 of the size that the annotation file states.

    Raises ImageError, naming file and id, where the file is missing, cannot be decoded or has another size.
    """
    path, identity = index.image_path(i), int(index.image_ids[i])
    try:
        with Image.open(path) as file:
            file.load()
            image = file if file.mode == "RGB" else file.convert("RGB")
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file (image id {identity} of {index.path})") from None
    except _BROKEN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{path}: cannot be decoded ({reason}; image id {identity} of {index.path})") from None
    stated = (int(index.widths[i]), int(index.heights[i]))
    if image.size != stated:
        raise ImageError(
            f"{path}: is {image.width} x {image.height} pixels, but {index.path} states {stated[0]} x {stated[1]}"
            f" for image id {identity}"
        )
    return image
