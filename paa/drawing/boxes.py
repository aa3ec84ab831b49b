"""Boxes on their image, for a person to look at."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_SMALL = 480  # pixels: smaller images are enlarged, so that names stay readable
_GOLDEN = 0.618033988749895  # steps by it spread hues evenly however many classes there are

Color = tuple[int, int, int]

WHITE: Color = (255, 255, 255)


def color(label: int) -> Color:
    """Return the color of a class."""
    red, green, blue = colorsys.hsv_to_rgb(label * _GOLDEN % 1.0, 0.75, 1.0)
    return int(255 * red), int(255 * green), int(255 * blue)


def scaled(image: Image.Image, factor: float) -> Image.Image:
    """An RGB copy, `factor` times as large; what is enlarged shows its pixels as squares."""
    size = (max(round(image.width * factor), 1), max(round(image.height * factor), 1))
    return image.convert("RGB").resize(size, Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BILINEAR)


def paint_box(picture: Image.Image, box: Sequence[float], text: str, tint: Color, font_size: float) -> None:
    """Paint a box (x, y, w, h in pixels of `picture`) with its name above it, or inside where there is no room."""
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(font_size)
    x, y, w, h = box
    pen.rectangle((x, y, x + max(w - 1, 0), y + max(h - 1, 0)), outline=tint, width=max(1, min(picture.size) // 300))
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    wide, high = right - left + 4, bottom - top + 4
    at_x = min(max(x, 0), max(picture.width - wide, 0))
    at_y = y - high if y >= high else max(y, 0)
    pen.rectangle((at_x, at_y, at_x + wide, at_y + high), fill=tint)
    pen.text((at_x + 2 - left, at_y + 2 - top), text, fill=(0, 0, 0), font=font)


def draw_detections(
    image: Image.Image,
    boxes: Sequence[Sequence[float]],
    labels: Sequence[int],
    scores: Sequence[float],
    names: Sequence[str],
) -> Image.Image:
    """Return a copy of `image` with boxes (x, y, w, h), class names and scores; the best drawn last, on top."""
    factor = max(1, round(_SMALL / max(image.size)))
    picture = scaled(image, factor)
    for i in sorted(range(len(scores)), key=lambda i: scores[i]):
        text = f"{names[labels[i]]} {scores[i]:.2f}"
        box = [value * factor for value in boxes[i]]
        paint_box(picture, box, text, color(labels[i]), max(11, min(picture.size) // 45))
    return picture
