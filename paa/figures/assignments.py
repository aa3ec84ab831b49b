"""Figures 4a, 6 and 7: the anchors of images as several runs, or one run at several steps, assign them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from paa.drawing.assignment import Drawn, legend_handles, paint
from paa.figures.panels import panels

RUNS = 4
"""Most runs side by side, so that marks stay distinguishable in print."""

STEPS, SINGLE = 4, 3
"""Most panels in a row: steps of a run, and images of a single run."""

Titled = tuple[str, Drawn]


def draw_runs(images: Sequence[int], seen: Mapping[str, Sequence[Drawn]]) -> Figure:
    """Draw a row for each of `images`, a column for each run {its name: its assignment of each image}.

    Images of a single run stand beside one another.
    """
    rows = zip(images, zip(*seen.values(), strict=True), strict=True)
    cells = [[(f"{name}, image {i}", drawn) for name, drawn in zip(seen, row, strict=True)] for i, row in rows]
    return _page(_wrapped([cell for row in cells for cell in row], SINGLE) if len(seen) == 1 else cells)


def draw_steps(steps: Sequence[int], seen: Mapping[int, Sequence[Drawn]], total: int) -> Figure:
    """Draw a panel for each of `steps`, of `total`, of each image {id: its assignment at each of them}."""
    cells: list[Sequence[Titled]] = []
    for image, found in seen.items():
        titled = [(f"image {image}, step {step} of {total}", drawn) for step, drawn in zip(steps, found, strict=True)]
        cells += _wrapped(titled, STEPS)
    return _page(cells)


def _wrapped(cells: Sequence[Titled], across: int) -> list[Sequence[Titled]]:
    return [cells[at : at + across] for at in range(0, len(cells), across)]


def _page(cells: Sequence[Sequence[Titled]]) -> Figure:
    """Rows of assignments, each with its title and the counts of its anchors, and what the marks mean."""
    every = [drawn for row in cells for _, drawn in row]
    without = any(not (drawn.gt_index == g).any() for drawn in every for g in range(len(drawn.boxes)))
    handles = legend_handles(
        "positive, in color and mark of its ground truth",
        "ignored",
        " / ".join(dict.fromkeys(drawn.what for drawn in every)),
        "ground truth: class, number of positives",
        "ground truth without a positive" if without else "",
    )
    foot = 0.13 * -(-len(handles) // 2) + 0.1
    figure, places = panels([[drawn.pixels for _, drawn in row] for row in cells], foot)
    for row, own in zip(cells, places, strict=True):
        for (title, drawn), panel in zip(row, own, strict=True):
            paint(panel.axis, drawn, "", panel.inches)
            panel.label(title, "{} positive, {} ignored, {} negative".format(*drawn.counts.values()))
    figure.legend(handles=handles, loc="lower center", ncols=2, facecolor="#bbbbbb", borderaxespad=0.2)
    return figure
