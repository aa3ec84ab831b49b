"""What lies behind and between the labeled objects: textured ground, clutter, and distractors without a label."""

from __future__ import annotations

import numpy as np

from paa.datasets.rng import Rng
from paa.datasets.shapes.forms import FORMS, block
from paa.datasets.shapes.raster import DIRECTIONS, HUES, blotches, rgb, turned_grid, window


def ground(rng: Rng, size: int) -> np.ndarray:
    """Textured ground: int64 [size, size, 3], dull in color; values leave 0 ... 255 by little and are clipped later.

    Broad blotches of light, over them one of: fine blotches, soft stripes, or a chequer of two stripe fields.
    """
    coarse, fine = max(size // 4, 1), max(size // 16, 1)
    light = rng.randint(55, 165) + _cloud(rng, size, coarse, 28)
    kind = rng.randbelow(4)
    if kind <= 1:
        light += _cloud(rng, size, fine, 10 + 8 * kind)
    elif kind == 2:
        light += (_stripes(rng, size) * rng.randint(12, 28)) // 256
    else:
        light += np.where(_stripes(rng, size) > 128, 1, -1) * np.where(_stripes(rng, size) > 128, 8, -8)
    tint = np.array([rng.randint(-14, 14) for _ in range(3)], dtype=np.int64)
    return light[:, :, None] + tint


def _cloud(rng: Rng, size: int, cell: int, strength: int) -> np.ndarray:
    nodes = size // cell + 2
    grid = rng.randbytes(nodes * nodes).astype(np.int64).reshape(nodes, nodes)
    return blotches(size, cell, (grid * (2 * strength + 1) >> 8) - strength)


def _stripes(rng: Rng, size: int) -> np.ndarray:
    """A triangular wave across the image, 0 ... 256."""
    p, q, r = rng.choice(DIRECTIONS)
    period = r * rng.randint(size // 16, size // 5)
    axis = np.arange(size, dtype=np.int64)
    phase = (p * axis[None, :] + q * axis[:, None] + rng.randbelow(period)) % period
    return np.abs(512 * phase // period - 256)


def grain(rng: Rng, size: int) -> np.ndarray:
    """Noise of every pixel, the same in all three channels: int64 [size, size, 1], one of -6, -2, 2, 6."""
    return ((rng.randbytes(size * size).astype(np.int64) & 3) * 4 - 6).reshape(size, size, 1)


def clutter(rng: Rng, image: np.ndarray, specks: int, lines: int) -> None:
    """Draw up to `specks` specks of 2 or 3 pixels, of any color, and up to `lines` dull lines of 1 or 2, in place."""
    size = len(image)
    for _ in range(rng.randbelow(lines + 1)):
        p, q, r = rng.choice(DIRECTIONS)
        x, y = rng.randbelow(size), rng.randbelow(size)
        axis = np.arange(size, dtype=np.int64)
        along = p * (axis[None, :] - x) + q * (axis[:, None] - y)
        across = p * (axis[:, None] - y) - q * (axis[None, :] - x)
        reach = r * rng.randint(size // 8, size // 3)
        mask = (np.abs(along) <= reach) & (2 * np.abs(across) <= r * rng.randint(1, 2))
        image[mask] = rgb(rng.randbelow(HUES), rng.randbelow(70), rng.randint(30, 220))
    for _ in range(rng.randbelow(specks + 1)):
        side = rng.randint(2, 3)
        x, y = rng.randbelow(size - side), rng.randbelow(size - side)
        image[y : y + side, x : x + side] = rgb(rng.randbelow(HUES), rng.randint(60, 220), rng.randint(60, 230))


def distractors(rng: Rng, image: np.ndarray) -> None:
    """Draw up to three forms without a label, in place: forms of the classes in gray, or colored rectangles."""
    size = len(image)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        colored = rng.bernoulli(1, 4)
        diameter = size * (rng.randint(20, 56) if colored else rng.randint(10, 60)) // 128
        mask = block if colored else rng.choice(FORMS).mask
        direction = rng.choice(DIRECTIONS)
        u, v = turned_grid(diameter, (0, 0), direction)
        inside = mask(u, v, diameter * direction[2], direction[2], rng.randbelow(256))
        saturation = rng.randint(110, 200) if colored else rng.randbelow(36)
        color = rgb(rng.randbelow(HUES), saturation, rng.randint(50, 210))
        n = window(diameter)
        x, y = rng.randint(-n // 4, size - 3 * n // 4), rng.randint(-n // 4, size - 3 * n // 4)
        rows, columns = slice(max(y, 0), min(y + n, size)), slice(max(x, 0), min(x + n, size))
        part = inside[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
        image[rows, columns][part] = color
