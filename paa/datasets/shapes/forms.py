"""The classes of the embedded data set: ten forms, each an integer inequality in the form's own axes.

A form is drawn within the circle of radius `r` around its center. `unit` is the length of half a pixel in the same
units, which keeps strokes of small forms at a pixel and a half or more, and `k` in 0 ... 255 varies the proportions.
Every function takes int64 arrays (u, v) of one shape and returns the bool mask of that shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Mask = np.ndarray


def disc(u: np.ndarray, v: np.ndarray, r: int, unit: int, k: int) -> Mask:
    """A disc, or an ellipse with axes up to 11 : 8."""
    flat = 8 + k % 4
    return 64 * u * u + flat * flat * v * v <= 64 * r * r


def ring(u: np.ndarray, v: np.ndarray, r: int, unit: int, k: int) -> Mask:
    """A disc with a round hole of 8/16 to 10/16 of its diameter."""
    hole = 8 + k % 3
    far = u * u + v * v
    return (far <= r * r) & (256 * far >= hole * hole * r * r)


def triangle(u: np.ndarray, v: np.ndarray, r: int, unit: int, k: int) -> Mask:
    """An isosceles triangle, nearly equilateral to pointed."""
    return (2 * v <= r) & (4 * (v + r) >= (7 + k % 4) * np.abs(u))


def bar(u: np.ndarray, v: np.ndarray, r: int, unit: int, k: int) -> Mask:
    """A thin rectangle, 4 to 8 times as long as wide."""
    half = max(r // (4 + k % 5), 3 * unit)
    return (np.abs(u) <= 15 * r // 16) & (np.abs(v) <= half)


def angle(u: np.ndarray, v: np.ndarray, r: int, unit: int, k: int) -> Mask:
    """The letter L."""
    a, b = 11 * r // 16, 11 * r * (4 + k % 3) // 96
    stroke = max(3 * r // 8, 4 * unit)
    return (np.abs(u) <= a) & (np.abs(v) <= b) & ((u <= stroke - a) | (v >= b - stroke))


def leaf(u: np.ndarray, v: np.ndarray, r: int, unit: int, k: int) -> Mask:
    """A lens between two parabolas, pointed at both ends, 3 to 5 times as long as wide."""
    half = max(r // (3 + k % 3), 3 * unit)
    return np.abs(v) * (r * r) <= half * (r * r - u * u)


def star(u: np.ndarray, v: np.ndarray, r: int, unit: int, k: int) -> Mask:
    """A star of four points."""
    a, b = np.abs(u), np.abs(v)
    return np.maximum(a, b) + 2 * np.minimum(a, b) <= r


def cross(u: np.ndarray, v: np.ndarray, r: int, unit: int, k: int) -> Mask:
    """A plus sign, arms of 2/7 to 3/7 of its width."""
    a, b = np.abs(u), np.abs(v)
    return (np.maximum(a, b) <= 7 * r // 8) & (np.minimum(a, b) <= r * (4 + k % 3) // 16)


def frame(u: np.ndarray, v: np.ndarray, r: int, unit: int, k: int) -> Mask:
    """A rectangle with a rectangular hole."""
    a, b = 11 * r // 16, 11 * r * (5 + k % 3) // 112
    stroke = max(r // 5, 3 * unit)
    u, v = np.abs(u), np.abs(v)
    return (u <= a) & (v <= b) & ((u >= a - stroke) | (v >= b - stroke))


def crescent(u: np.ndarray, v: np.ndarray, r: int, unit: int, k: int) -> Mask:
    """A disc less a smaller disc at 2/5 of its radius aside."""
    aside = 5 * u - 2 * r
    return (u * u + v * v <= r * r) & (aside * aside + 25 * v * v > 18 * r * r)


def block(u: np.ndarray, v: np.ndarray, r: int, unit: int, k: int) -> Mask:
    """A full rectangle: a form of no class, for distractors."""
    return (np.abs(u) <= 11 * r // 16) & (np.abs(v) <= 11 * r * (4 + k % 3) // 96)


@dataclass(frozen=True)
class Form:
    """A class: its name, its mask, and the middle of its hues in degrees around the color circle."""

    name: str
    mask: Callable[[np.ndarray, np.ndarray, int, int, int], Mask]
    degrees: int


# Seven groups of hues, 41 degrees apart: single forms have a hue of their own. Three pairs stand 24 degrees apart and,
# at HUE_SPREAD, share a quarter of their hues, where only the form tells one from the other.
FORMS = (
    Form("disc", disc, 0),
    Form("ring", ring, 24),
    Form("triangle", triangle, 65),
    Form("bar", bar, 106),
    Form("angle", angle, 130),
    Form("leaf", leaf, 171),
    Form("star", star, 212),
    Form("cross", cross, 236),
    Form("frame", frame, 277),
    Form("crescent", crescent, 318),
)
HUE_SPREAD = 16
"""Degrees that an object's hue may lie from the middle of its class's."""
