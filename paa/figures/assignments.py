"""Figures 6 and 7: the anchors of several images as several runs assign them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from paa.assignment_picture import Drawn
from paa.figures.panels import assignments

RUNS = 4
"""Most runs side by side, so that marks can be told apart in print."""


def draw(images: Sequence[int], seen: Mapping[str, Sequence[Drawn]]) -> Figure:
    """A row for each of `images`, a column for each run {its name: its assignment of each of them}."""
    rows = zip(images, zip(*seen.values(), strict=True), strict=True)
    return assignments([[(f"{n}, image {i}", d) for n, d in zip(seen, row, strict=True)] for i, row in rows])
