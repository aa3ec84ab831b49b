"""Integer geometry and color: nothing here computes a float, so every machine draws the same pixels.

Lengths of a form are in half-pixels: the center of pixel x lies at 2 x + 1, and a form of diameter `d` pixels has the
radius `d` half-pixels. Slanted forms are turned by Pythagorean triples (p, q, r) with p^2 + q^2 = r^2, which rotate
integers exactly: the turned coordinates are r times as large.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_TRIPLES = ((1, 0, 1), (12, 5, 13), (4, 3, 5), (15, 8, 17), (24, 7, 25), (21, 20, 29), (35, 12, 37), (40, 9, 41))


def _directions() -> tuple[tuple[int, int, int], ...]:
    turns = set()
    for p, q, r in _TRIPLES:
        for a, b in ((p, q), (q, p)):
            turns |= {(a, b, r), (-a, b, r), (a, -b, r), (-a, -b, r)}
    return tuple(sorted(turns))


DIRECTIONS = _directions()
"""(p, q, r) of every direction a form can take: 60 angles around the circle, the four axes among them."""

UPRIGHT = tuple(d for d in DIRECTIONS if d[2] == 1)
"""The four directions along the axes of the image."""

HUES = 1536
"""Steps of the color circle: red 0, yellow 256, green 512, cyan 768, blue 1024, magenta 1280."""


def turned_grid(diameter: int, odd: tuple[int, int], direction: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (u, v) of the pixels of the smallest window around a form, in the form's own axes.

    diameter   pixels.
    odd        (x, y), each 0 or 1: whether the form's center lies on a pixel's center (1) or on a pixel's edge (0).
    direction  (p, q, r): the form's first axis points along (p, q) / r.
    Returns two int64 arrays [n, n] in units of 1 / r half-pixel, n = 2 ceil(diameter / 2) + 2; the form's center is
    at pixel coordinate n / 2 (+ 1 / 2 when odd) from the window's corner.
    """
    p, q, _ = direction
    n = window(diameter)
    axis = 2 * np.arange(n, dtype=np.int64) + 1 - n
    x, y = (axis - odd[0])[None, :], (axis - odd[1])[:, None]
    return p * x + q * y, p * y - q * x


def window(diameter: int) -> int:
    """Side in pixels of the window that holds a form of this diameter wherever its center lies within a pixel."""
    return 2 * (-(-diameter // 2)) + 2


@lru_cache(maxsize=8)
def _knots(size: int, cell: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.arange(size, dtype=np.int64)
    return x // cell, 2 * (x % cell) + 1


def blotches(size: int, cell: int, nodes: np.ndarray) -> np.ndarray:
    """Bilinear interpolation of `nodes` [n, n] on a lattice of `cell` pixels, n >= size // cell + 2; [size, size]."""
    at, far = _knots(size, cell)
    near = 2 * cell - far
    rows = nodes[at] * near[:, None] + nodes[at + 1] * far[:, None]
    return (rows[:, at] * near + rows[:, at + 1] * far) // (4 * cell * cell)


def rgb(hue: int, saturation: int, value: int) -> tuple[int, int, int]:
    """(red, green, blue) in 0 ... 255 of a hue (taken around the circle) and saturation and value in 0 ... 255."""
    sector, part = divmod(hue % HUES, 256)
    low = value * (255 - saturation) // 255
    span = value - low
    rising, falling = low + span * part // 255, low + span * (255 - part) // 255
    return ((value, rising, low), (falling, value, low), (low, value, rising), (low, falling, value),
            (rising, low, value), (value, low, falling))[sector]  # fmt: skip
