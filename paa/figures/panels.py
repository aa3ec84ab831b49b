"""Pictures in rows and columns on a page, each as large as there is room, with a title above and a line below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paa.figures.style import PAGE, page

GAP, TITLE, LINE, EDGE = 0.06, 0.17, 0.17, 0.02
"""Inches between columns, above a panel for its title, below it for its line, and at the edges of the page."""

WIDEST = 2.4
"""Most inches of a panel's width: of one or two, several rows still fit a page."""

TALLEST = 1.4
"""Most height of a panel in widths of it: taller images are drawn narrower."""


@dataclass(frozen=True)
class Panel:
    """A place for a picture: its axis, and the inches of its height in print."""

    axis: Axes
    inches: float

    def label(self, title: str, line: str) -> None:
        """Writes above and below."""
        self.axis.set_title(title, fontsize=7, pad=3)
        self.axis.set_xlabel(line, fontsize=6, labelpad=2)


def panels(images: Sequence[Sequence[np.ndarray]], foot: float) -> tuple[Figure, list[list[Panel]]]:
    """Make a page with a panel for each image [h, w, 3] of each row, and `foot` inches below for a legend."""
    shapes = [[image.shape[:2] for image in row] for row in images]
    across = max(len(row) for row in shapes)
    wide = min((PAGE - 2 * EDGE - GAP * (across - 1)) / across, WIDEST)
    left = (PAGE - across * wide - GAP * (across - 1)) / 2
    tall = [max(min(h / w, TALLEST) for h, w in row) * wide for row in shapes]
    height = sum(tall) + len(shapes) * (TITLE + LINE) + foot
    figure = page(PAGE, height, layout=None)
    out: list[list[Panel]] = []
    top = height
    for row, high in zip(shapes, tall, strict=True):
        top -= TITLE
        out.append([])
        for i, (h, w) in enumerate(row):  # in the middle of its cell across, at its top
            own = min(wide, high * w / h)
            at, inches = left + i * (wide + GAP) + (wide - own) / 2, own * h / w
            axis = figure.add_axes((at / PAGE, (top - inches) / height, own / PAGE, inches / height))
            out[-1].append(Panel(axis, inches))
        top -= high + LINE
    return figure, out
