"""One image of the embedded data set: a pure function of (seed, split, index, size).

Objects are painted from large to small, later over earlier. Each is given a few places to try, and takes the first
where every object, itself included, keeps at least 2/5 of its form visible and no two boxes overlap by more than 3/5:
so every object painted is an object labeled. A box is the extent of the whole form within the image, as an annotator
completes what is half hidden; an area counts the pixels that stay visible.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paa.datasets.rng import SHAPES, Rng
from paa.datasets.shapes.background import clutter, distractors, grain, ground
from paa.datasets.shapes.forms import FORMS, HUE_SPREAD
from paa.datasets.shapes.raster import DIRECTIONS, HUES, UPRIGHT, rgb, turned_grid

SPLITS = ("train", "val", "test")
CLASSES = tuple(form.name for form in FORMS)

_COUNTS = (1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8, 9, 10, 12)
_SMALL, _MEDIUM, _LARGE = (9, 16), (17, 40), (41, 116)  # diameters, in 1/128 of the image's side
_LEAST_SIDE = 8  # of a box's longer side, in 1/128 of the image's side
_VISIBLE = (2, 5)
_TRIES = 10


@dataclass(frozen=True)
class Scene:
    """A drawn image and its labels, in painting order.

    pixels   [S, S, 3] uint8 RGB.
    boxes    [N, 4] int64, x y w h in pixels.
    labels   [N] int64, index into CLASSES.
    areas    [N] int64, visible pixels.
    canvas   on which it was painted.
    """

    pixels: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    areas: np.ndarray
    canvas: Canvas


@dataclass(frozen=True)
class _Stamp:
    """A form before it has a place: its mask in a window [n, n], its light and dark, its center's parity."""

    label: int
    diameter: int
    mask: np.ndarray
    shade: np.ndarray
    odd: tuple[int, int]
    direction: tuple[int, int, int]
    color: tuple[int, int, int]


class Canvas:
    """What is painted so far: who shows where, and of each object its form, box, center, whole and visible pixels."""

    def __init__(self, image: np.ndarray) -> None:
        self.image, self.size = image, len(image)
        self.owner = np.zeros(image.shape[:2], dtype=np.int64)  # 1 + index of the object that shows here, 0 for none
        self.stamps: list[_Stamp] = []
        self.boxes: list[tuple[int, int, int, int]] = []
        self.centers: list[tuple[int, int]] = []
        self.forms = np.zeros(1, dtype=np.int64)
        self.visible = np.zeros(1, dtype=np.int64)

    def place(self, stamp: _Stamp, x: int, y: int, near: int | None) -> bool:
        """Paints `stamp` centerd on pixel (x, y) if all stay visible and, with `near`, it overlaps that one."""
        n, size = len(stamp.mask), self.size
        left, top = x - n // 2, y - n // 2
        rows, columns = slice(max(top, 0), min(top + n, size)), slice(max(left, 0), min(left + n, size))
        cut = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
        mask = stamp.mask[cut]
        across, down = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        if not len(across):
            return False
        box = (int(columns.start + across[0]), int(rows.start + down[0]),
               int(across[-1] - across[0] + 1), int(down[-1] - down[0] + 1))  # fmt: skip
        if 128 * max(box[2:]) < _LEAST_SIDE * size or any(_overlap(box, other, 3, 5) for other in self.boxes):
            return False
        if near is not None and not _overlap(box, self.boxes[near], 3, 10):
            return False
        hidden = np.bincount(self.owner[rows, columns][mask], minlength=len(self.visible))
        hidden[0] = 0
        visible = np.append(self.visible - hidden, np.count_nonzero(mask))
        forms = np.append(self.forms, np.count_nonzero(stamp.mask))
        if (visible * _VISIBLE[1] < forms * _VISIBLE[0]).any():
            return False
        self.visible, self.forms = visible, forms
        self.stamps.append(stamp)
        self.boxes.append(box)
        self.centers.append((x, y))
        self.owner[rows, columns][mask] = len(self.stamps)
        painted = (stamp.shade[cut][mask][:, None] * np.array(stamp.color, dtype=np.int64)) >> 8
        self.image[rows, columns][mask] = painted
        return True


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int], numerator: int, denominator: int) -> bool:
    """Whether the IoU of two boxes lies above numerator / denominator."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return False
    union = a[2] * a[3] + b[2] * b[3] - width * height
    return denominator * width * height > numerator * union


def _stamp(rng: Rng, diameter: int, label: int) -> _Stamp:
    form, direction = FORMS[label], rng.choice(UPRIGHT if rng.bernoulli(1, 4) else DIRECTIONS)
    odd = (rng.randbelow(2), rng.randbelow(2))
    u, v = turned_grid(diameter, odd, direction)
    radius = diameter * direction[2]
    mask = form.mask(u, v, radius, direction[2], rng.randbelow(256))
    hue = (form.degrees * HUES + rng.randint(-HUE_SPREAD * HUES, HUE_SPREAD * HUES)) // 360
    color = rgb(hue, rng.randint(150, 250), rng.randint(150, 250))
    shade = 256 - rng.randbelow(64) * np.abs(u + radius) // (2 * radius)
    if diameter >= 24 and rng.bernoulli(2, 3):
        shade[mask & ~_inner(mask)] = 150
    return _Stamp(label, diameter, mask, shade, odd, direction, color)


def _inner(mask: np.ndarray) -> np.ndarray:
    """The mask less its outermost pixels; the window leaves a border free around every form."""
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1] = mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return inner


def _free_place(rng: Rng, size: int, diameter: int) -> tuple[int, int]:
    """A center that keeps the form inside of the image, or, one time in five, lets it reach out of it."""
    margin = min(diameter // (6 if rng.bernoulli(1, 5) else 2), size // 2 - 1)
    return rng.randint(margin, size - 1 - margin), rng.randint(margin, size - 1 - margin)


def _populate(rng: Rng, canvas: Canvas) -> None:
    bands = [rng.choice((_SMALL,) * 8 + (_MEDIUM,) * 8 + (_LARGE,) * 4) for _ in range(rng.choice(_COUNTS))]
    for diameter in sorted((rng.randint(*band) * canvas.size // 128 for band in bands), reverse=True):
        near = rng.randbelow(len(canvas.boxes)) if canvas.boxes and rng.bernoulli(1, 12) else None
        twin = None
        if near is not None:
            other = canvas.stamps[near]
            diameter = other.diameter * rng.randint(75, 120) // 100
            twin = other.label if rng.bernoulli(1, 4) else None
        stamp = _stamp(rng, max(diameter, 1), rng.randbelow(len(FORMS)) if twin is None else twin)
        for _ in range(_TRIES):
            if near is None:
                x, y = _free_place(rng, canvas.size, diameter)
            else:
                reach = diameter // 2 + 1
                x, y = (c + rng.randint(-reach, reach) for c in canvas.centers[near])
            if canvas.place(stamp, x, y, near):
                break


def draw(seed: int, split: str, index: int, size: int = 128) -> Scene:
    """The image `index` of `split` of the data set `seed`; its stream is its own, so no other image changes it."""
    rng = Rng(SHAPES, seed, SPLITS.index(split), index)
    canvas = Canvas(ground(rng, size))
    clutter(rng, canvas.image, specks=8, lines=2)
    distractors(rng, canvas.image)
    while not canvas.boxes:
        _populate(rng, canvas)
    clutter(rng, canvas.image, specks=3, lines=0)
    pixels = np.clip(canvas.image + grain(rng, size), 0, 255).astype(np.uint8)
    labels = np.array([stamp.label for stamp in canvas.stamps], dtype=np.int64)
    return Scene(pixels, np.array(canvas.boxes, dtype=np.int64), labels, canvas.visible[1:], canvas)
