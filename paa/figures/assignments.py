"""Figures 6 and 7: the anchors of several images as several runs assign them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from paa.drawing.assignment import Drawn
from paa.figures.panels import assignments

RUNS = 4
"""Most runs side by side, so that marks can be told apart in print."""

ALONE = 3
"""Images of a single run in a row."""


def draw(images: Sequence[int], seen: Mapping[str, Sequence[Drawn]]) -> Figure:
    """A row for each of `images`, a column for each run {its name: its assignment of each of them}.

    Images of a single run stand beside one another.
    """
    rows = zip(images, zip(*seen.values(), strict=True), strict=True)
    cells = [[(f"{name}, image {i}", drawn) for name, drawn in zip(seen, row, strict=True)] for i, row in rows]
    if len(seen) == 1:
        every = [cell for row in cells for cell in row]
        cells = [every[at : at + ALONE] for at in range(0, len(every), ALONE)]
    return assignments(cells)
