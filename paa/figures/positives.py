"""Figure 4b: how many positives a ground truth has over training, for each assigner, beside set schemes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from paa.assign.boundary import FNP
from paa.drawing.assignment import MARKS
from paa.figures.runs import scheme
from paa.figures.style import COLUMN, LINES, page

SMOOTHED = 0.05
"""Part of the schedule over which a curve is averaged."""

DASHES: tuple[Any, ...] = ("--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
"""Of schemes, which are no more than these."""

Scheme = tuple[int, int | None]
"""n and n_end of an `FNP`."""


@dataclass(frozen=True)
class Counted:
    """Positives of a ground truth [L] at steps [L] of a training of `total` steps; each the mean of the steps since the
    one before.
    """

    steps: np.ndarray
    values: np.ndarray
    total: int

    @property
    def smooth(self) -> np.ndarray:
        """The values averaged over SMOOTHED of the schedule around each; toward the ends over as much as there is."""
        half = SMOOTHED / 2 * self.total
        low = np.searchsorted(self.steps, self.steps - half, "left")
        high = np.searchsorted(self.steps, self.steps + half, "right")
        sums = np.concatenate([[0.0], np.cumsum(self.values)])
        return (sums[high] - sums[low]) / (high - low)

    @property
    def mean(self) -> float:
        """Over the training, each value counting for its steps."""
        return float(np.average(self.values, weights=np.diff(self.steps, prepend=0)))


def equal_schemes(counted: Counted) -> list[Scheme]:
    """A fixed number and a linear decay to 1 that take as many positives over the training as `counted` did."""
    mean = max(1, round(counted.mean))
    return [(mean, None), (2 * mean - 1, 1)] if mean > 1 else [(1, None)]


def draw(curves: Mapping[str, Counted], schemes: Sequence[Scheme]) -> Figure:
    """Draw smoothed curves with what they were made of behind them, and the schemes by their definition."""
    figure = page(COLUMN, 2.9)
    axis = figure.subplots()
    total = max(counted.total for counted in curves.values())
    for i, (name, counted) in enumerate(curves.items()):
        color, mark = LINES[i % len(LINES)], MARKS[i % len(MARKS)]
        axis.plot(counted.steps, counted.values, color=color, linewidth=0.6, alpha=0.45, zorder=2)
        every = max(1, len(counted.steps) // 8)
        start = (i * every) // len(curves)  # else marks of curves that agree would hide one another
        marks: dict[str, Any] = {"marker": mark, "markevery": (start, every), "markeredgecolor": "black"}
        marks |= {"markeredgewidth": 0.3, "clip_on": False}  # marks on an axis are whole
        axis.plot(counted.steps, counted.smooth, color=color, label=name, zorder=3, **marks)
    steps = np.unique(np.linspace(0, total, 1001).round())
    for (n, n_end), dash in zip(schemes, DASHES[: len(schemes)], strict=True):
        rule, label = FNP(n, n_end), f"{scheme(n, n_end)}, by definition"
        numbers = [rule.number(step / total) for step in steps]
        look: dict[str, Any] = {"color": "0.25", "linewidth": 0.9, "linestyle": dash, "drawstyle": "steps-post"}
        axis.plot(steps, numbers, zorder=2.5, label=label, **look)
    axis.set(xlabel="training step", ylabel="positives per ground truth", xlim=(0, total))
    axis.set_ylim(0, axis.get_ylim()[1])
    figure.legend(loc="outside upper center", ncols=2)
    return figure
