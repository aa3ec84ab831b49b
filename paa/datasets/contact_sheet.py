"""A sheet of sample images with their boxes, to be looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.images import decode
from paa.drawing.boxes import WHITE, color, paint_box, scaled
from paa.files import replacing


def write_contact_sheet(
    index: CocoIndex, path: str | Path, count: int = 24, *, columns: int = 6, tile: int = 320
) -> Path:
    """Write `count` images of `index`, evenly spread over it, with boxes and class names, as one PNG at `path`.

    Each image is scaled so that its longer side is `tile` pixels. Crowd boxes are drawn in white and named so. Returns
    `path`. Raises DataError where an image cannot be read.
    """
    positions = np.unique(np.linspace(0, len(index) - 1, min(count, len(index))).round().astype(int))
    rows = -(-len(positions) // columns)
    page = Image.new("RGB", (columns * (tile + 4), rows * (tile + 4)), (24, 24, 24))
    for place, i in enumerate(positions):
        page.paste(_tile(index, int(i), tile), (place % columns * (tile + 4) + 2, place // columns * (tile + 4) + 2))
    path = Path(path)
    with replacing(path, durable=False) as file:
        page.save(file, "PNG")
    return path


def _tile(index: CocoIndex, i: int, tile: int) -> Image.Image:
    image = decode(index, i)
    factor = tile / max(image.size)
    picture = scaled(image, factor)
    own = range(index.offsets[i], index.offsets[i + 1])
    boxes = np.clip(index.boxes[own.start : own.stop], 0, [*image.size, *image.size])  # some reach far beyond
    for at, box in zip(own, boxes, strict=True):
        label, crowd = int(index.labels[at]), bool(index.crowd[at])
        name = index.category_names[label] + (" (crowd)" if crowd else "")
        paint_box(picture, box * factor, name, WHITE if crowd else color(label), 10)
    return picture
