"""Figure 4a: what the assigner makes of an image's anchors at several steps of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from paa.drawing.assignment import Drawn
from paa.figures.panels import assignments

ACROSS = 4
"""Most panels in a row."""


def draw(steps: Sequence[int], seen: Mapping[int, Sequence[Drawn]], total: int) -> Figure:
    """A panel for each of `steps`, of `total`, of each image {id: its assignment at each of them}."""
    cells = []
    for image, found in seen.items():
        titled = [(_title(image, step, total), drawn) for step, drawn in zip(steps, found, strict=True)]
        cells += [titled[at : at + ACROSS] for at in range(0, len(titled), ACROSS)]
    return assignments(cells)


def _title(image: int, step: int, total: int) -> str:
    return f"image {image}, step {step} of {total}"
