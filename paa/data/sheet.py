"""A sheet of sample images with their boxes, to be looked at."""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from paa.data.coco import CocoIndex
from paa.data.images import decode
from paa.files import replacing


def sheet(index: CocoIndex, path: str | Path, count: int = 24, *, columns: int = 6, tile: int = 320) -> Path:
    """Writes `count` images of `index`, evenly spread over it, with boxes and class names, as one PNG at `path`.

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
    small = (max(round(image.width * factor), 1), max(round(image.height * factor), 1))
    image = image.resize(small, Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BILINEAR)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default()
    for at in range(index.offsets[i], index.offsets[i + 1]):
        x, y, w, h = index.boxes[at] * factor
        label, crowd = int(index.labels[at]), bool(index.crowd[at])
        hue = label / max(len(index.category_names), 1)
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.0 if crowd else 0.7, 1.0)
        colour = (int(255 * red), int(255 * green), int(255 * blue))
        pen.rectangle((x, y, max(x + w - 1, x), max(y + h - 1, y)), outline=colour)
        name = index.category_names[label] + (" (crowd)" if crowd else "")
        where = (x + 1, max(y - 11, 0))
        pen.rectangle(pen.textbbox(where, name, font=font), fill=(0, 0, 0))
        pen.text(where, name, fill=colour, font=font)
    return image
