"""What lies behind and between the labeled objects: textured ground, clutter, and distractors without a label."""

from __future__ import annotations

import numpy as np

from paa.datasets.rng import Draws
from paa.datasets.shapes.forms import FORMS, block
from paa.datasets.shapes.raster import DIRECTIONS, HUES, blotches, rgb, turned_grid, window


def ground(draws: Draws, size: int) -> np.ndarray:
    """Textured ground: int64 [size, size, 3], dull in color; values leave 0 ... 255 by little and are clipped later.

    Broad blotches of light, over them one of: fine blotches, soft stripes, or a chequer of two stripe fields.
    """
    coarse, fine = max(size // 4, 1), max(size // 16, 1)
    light = draws.between(55, 165) + _cloud(draws, size, coarse, 28)
    kind = draws.below(4)
    if kind <= 1:
        light += _cloud(draws, size, fine, 10 + 8 * kind)
    elif kind == 2:
        light += (_stripes(draws, size) * draws.between(12, 28)) // 256
    else:
        light += np.where(_stripes(draws, size) > 128, 1, -1) * np.where(_stripes(draws, size) > 128, 8, -8)
    tint = np.array([draws.between(-14, 14) for _ in range(3)], dtype=np.int64)
    return light[:, :, None] + tint


def _cloud(draws: Draws, size: int, cell: int, strength: int) -> np.ndarray:
    nodes = size // cell + 2
    grid = draws.octets(nodes * nodes).astype(np.int64).reshape(nodes, nodes)
    return blotches(size, cell, (grid * (2 * strength + 1) >> 8) - strength)


def _stripes(draws: Draws, size: int) -> np.ndarray:
    """A triangular wave across the image, 0 ... 256."""
    p, q, r = draws.pick(DIRECTIONS)
    period = r * draws.between(size // 16, size // 5)
    axis = np.arange(size, dtype=np.int64)
    phase = (p * axis[None, :] + q * axis[:, None] + draws.below(period)) % period
    return np.abs(512 * phase // period - 256)


def grain(draws: Draws, size: int) -> np.ndarray:
    """Noise of every pixel, the same in all three channels: int64 [size, size, 1], one of -6, -2, 2, 6."""
    return ((draws.octets(size * size).astype(np.int64) & 3) * 4 - 6).reshape(size, size, 1)


def clutter(draws: Draws, image: np.ndarray, specks: int, lines: int) -> None:
    """Draws up to `specks` specks of 2 or 3 pixels, of any color, and up to `lines` dull lines of 1 or 2, in place."""
    size = len(image)
    for _ in range(draws.below(lines + 1)):
        p, q, r = draws.pick(DIRECTIONS)
        x, y = draws.below(size), draws.below(size)
        axis = np.arange(size, dtype=np.int64)
        along = p * (axis[None, :] - x) + q * (axis[:, None] - y)
        across = p * (axis[:, None] - y) - q * (axis[None, :] - x)
        reach = r * draws.between(size // 8, size // 3)
        mask = (np.abs(along) <= reach) & (2 * np.abs(across) <= r * draws.between(1, 2))
        image[mask] = rgb(draws.below(HUES), draws.below(70), draws.between(30, 220))
    for _ in range(draws.below(specks + 1)):
        side = draws.between(2, 3)
        x, y = draws.below(size - side), draws.below(size - side)
        image[y : y + side, x : x + side] = rgb(draws.below(HUES), draws.between(60, 220), draws.between(60, 230))


def distractors(draws: Draws, image: np.ndarray) -> None:
    """Draws up to three forms without a label, in place: forms of the classes in gray, or colored rectangles."""
    size = len(image)
    for _ in range(draws.pick((0, 0, 1, 1, 2, 3))):
        colored = draws.chance(1, 4)
        diameter = size * (draws.between(20, 56) if colored else draws.between(10, 60)) // 128
        mask = block if colored else draws.pick(FORMS).mask
        direction = draws.pick(DIRECTIONS)
        u, v = turned_grid(diameter, (0, 0), direction)
        inside = mask(u, v, diameter * direction[2], direction[2], draws.below(256))
        saturation = draws.between(110, 200) if colored else draws.below(36)
        color = rgb(draws.below(HUES), saturation, draws.between(50, 210))
        n = window(diameter)
        x, y = draws.between(-n // 4, size - 3 * n // 4), draws.between(-n // 4, size - 3 * n // 4)
        rows, columns = slice(max(y, 0), min(y + n, size)), slice(max(x, 0), min(x + n, size))
        part = inside[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
        image[rows, columns][part] = color
