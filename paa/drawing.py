"""Detections on their image, for a person to look at."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_SMALL = 480  # pixels: smaller images are enlarged, so that names stay readable
_GOLDEN = 0.618033988749895  # steps by it spread hues evenly however many classes there are


def colour(label: int) -> tuple[int, int, int]:
    """A colour of its own for each class."""
    red, green, blue = colorsys.hsv_to_rgb(label * _GOLDEN % 1.0, 0.75, 1.0)
    return int(255 * red), int(255 * green), int(255 * blue)


def draw_detections(
    image: Image.Image,
    boxes: Sequence[Sequence[float]],
    labels: Sequence[int],
    scores: Sequence[float],
    names: Sequence[str],
) -> Image.Image:
    """A copy of `image` with boxes (x, y, w, h), class names and scores; the best drawn last, on top."""
    factor = max(1, round(_SMALL / max(image.size)))
    size = (image.width * factor, image.height * factor)
    picture = image.convert("RGB").resize(size, Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(max(11, min(size) // 45))
    for i in sorted(range(len(scores)), key=lambda i: scores[i]):
        x, y, w, h = (value * factor for value in boxes[i])
        tint = colour(labels[i])
        pen.rectangle((x, y, x + max(w, 1), y + max(h, 1)), outline=tint, width=max(1, min(size) // 300))
        text = f"{names[labels[i]]} {scores[i]:.2f}"
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        wide, high = right - left + 4, bottom - top + 4
        at = (min(max(x, 0), max(size[0] - wide, 0)), y - high if y >= high else max(y, 0))
        pen.rectangle((at[0], at[1], at[0] + wide, at[1] + high), fill=tint)
        pen.text((at[0] + 2 - left, at[1] + 2 - top), text, fill=(0, 0, 0), font=font)
    return picture
