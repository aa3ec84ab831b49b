"""What an assigner made of the anchors of one image, as a picture (after Figures 4a, 6 and 7 of the paper).

Legend: G ground truths, A anchors. Boxes are xyxy in pixels of the picture's image.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from paa import files
from paa.boxes import iou_pairs
from paa.structures import IGNORED, NEGATIVE, Anchors, Assignment, Batch

COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
"""Okabe and Ito's colours: told apart by the colour-blind, and by their lightness in print."""

MARKS = ("o", "s", "^", "D", "v", "P")
"""Together with the colours, 42 ground truths before two look alike."""

logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its fonts

NEAR = 0.1  # IoU from which a negative is worth a mark where the assigner names no candidates; PAA's own floor

_DPI = 110
_LEAST = 720  # pixels of the longer side: small images are enlarged


@dataclass(frozen=True)
class Drawn:
    """One image and what became of its anchors, as plain arrays.

    pixels [h, w, 3] uint8; boxes [G, 4] and names of the ground truths; centres [A, 2] and level [A] of the anchors;
    gt_index [A] as `Assignment.gt_index`, for anchors that take part in training; shown [A] bool, the negatives worth
    a mark, and what they are.
    """

    pixels: np.ndarray
    boxes: np.ndarray
    names: Sequence[str]
    centres: np.ndarray
    level: np.ndarray
    gt_index: np.ndarray
    shown: np.ndarray
    what: str

    @classmethod
    def of(
        cls, pixels: np.ndarray, names: Sequence[str], batch: Batch, anchors: Anchors, found: Assignment, at: int = 0
    ) -> Drawn:
        """Image `at` of a batch; `names` are those of the classes, `pixels` [h, w, 3] the image in any size."""
        count = int(batch.targets.valid[at].sum())
        height, width = (int(side) for side in batch.sizes[at])
        factor = np.array([pixels.shape[1] / width, pixels.shape[0] / height] * 2)
        boxes = batch.targets.boxes[at, :count].cpu()
        corners = anchors.boxes.cpu()
        inside, gt_index = anchors.inside[at].cpu().numpy(), found.gt_index[at].cpu().numpy()
        if "candidates" in found.extras:
            valid = found.extras["candidate_valid"][at, :count].cpu()
            shown = torch.zeros(len(corners), dtype=torch.bool)
            shown[found.extras["candidates"][at, :count].cpu()[valid]] = True
            what = "negative candidates"
        else:
            best = iou_pairs(corners, boxes[:, None]).amax(0) if count else torch.zeros(len(corners))
            shown, what = best >= NEAR, f"negatives of IoU {NEAR:g} and above"
        return cls(
            pixels=pixels,
            boxes=boxes.numpy() * factor,
            names=[names[int(label)] for label in batch.targets.labels[at, :count]],
            centres=((corners[:, :2] + corners[:, 2:]) / 2).numpy()[inside] * factor[:2],
            level=anchors.level.cpu().numpy()[inside],
            gt_index=gt_index[inside],
            shown=shown.numpy()[inside] & (gt_index[inside] == NEGATIVE),
            what=what,
        )

    @property
    def counts(self) -> dict[str, int]:
        """Anchors that are positive, ignored, marked negative, and all other negatives."""
        negative = int((self.gt_index == NEGATIVE).sum())
        shown = int(self.shown.sum())
        return {
            "positive": int((self.gt_index >= 0).sum()),
            "ignored": int((self.gt_index == IGNORED).sum()),
            self.what: shown,
            "other negatives": negative - shown,
        }


def look(g: int) -> tuple[str, str]:
    """Colour and mark of ground truth `g`."""
    return COLOURS[g % len(COLOURS)], MARKS[g // len(COLOURS) % len(MARKS)]


def paint(axis: Axes, drawn: Drawn, title: str) -> None:
    """Paints image, ground truths and anchors into `axis`, with a legend that counts below it.

    Each positive is at its anchor's centre in the colour and mark of its ground truth, larger on coarser levels; the
    box of a ground truth that has none is dashed.
    """
    height, width = drawn.pixels.shape[:2]
    axis.imshow(drawn.pixels, interpolation="nearest")
    negative, ignored = drawn.centres[drawn.shown], drawn.centres[drawn.gt_index == IGNORED]
    axis.scatter(
        negative[:, 0], negative[:, 1], s=17, marker="d", color="white", edgecolor="black", linewidth=0.8, zorder=3
    )
    axis.scatter(ignored[:, 0], ignored[:, 1], s=34, marker="x", color="black", linewidth=2.2, zorder=4)
    axis.scatter(ignored[:, 0], ignored[:, 1], s=28, marker="x", color="white", linewidth=1.0, zorder=4)
    for g, (x1, y1, x2, y2) in enumerate(drawn.boxes):
        tint, mark = look(g)
        own = drawn.gt_index == g
        dash = "solid" if own.any() else (0, (3, 2))
        box = {"xy": (x1, y1), "width": x2 - x1, "height": y2 - y1, "fill": False}
        axis.add_patch(Rectangle(**box, edgecolor="black", linewidth=2.6, linestyle=dash, zorder=1.9))
        axis.add_patch(Rectangle(**box, edgecolor=tint, linewidth=1.6, linestyle=dash, zorder=2))
        at_y = y1 if y1 > 0.04 * height else min(y2 + 0.04 * height, height - 1)
        tag = {"facecolor": tint, "pad": 0.8, "linewidth": 0, "alpha": 0.85}
        text = f"{drawn.names[g]} {int(own.sum())}"
        axis.text(max(x1, 0), at_y, text, color="black", fontsize=7, va="bottom", bbox=tag, zorder=5, clip_on=True)
        at, size = drawn.centres[own], 16 + 12 * drawn.level[own]
        axis.scatter(at[:, 0], at[:, 1], s=size, marker=mark, color=tint, edgecolor="black", linewidth=0.9, zorder=6)
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
    axis.set_title(title, fontsize=9)
    axis.legend(
        handles=_legend(drawn),
        loc="upper center",
        bbox_to_anchor=(0.5, -0.01),
        ncols=2,
        fontsize=8,
        facecolor="#bbbbbb",
    )


def _legend(drawn: Drawn) -> list[Line2D]:
    counts = drawn.counts
    without = sum(not (drawn.gt_index == g).any() for g in range(len(drawn.boxes)))
    truths = f"{len(drawn.boxes)} ground truths" + (f", {without} without a positive (dashed)" if without else "")
    black = {"linestyle": "", "color": "white", "markeredgecolor": "black"}
    marks = [
        (
            {"marker": "o", "markersize": 6, **black, "color": "grey"},
            f"{counts['positive']} positive (colour: of which)",
        ),
        ({"marker": "x", "markersize": 6, "linestyle": "", "color": "white"}, f"{counts['ignored']} ignored"),
        ({"marker": "d", "markersize": 5, "markeredgewidth": 0.8, **black}, f"{counts[drawn.what]} {drawn.what}"),
        ({"color": "black", "linewidth": 1.6}, f"{truths}; number: its positives"),
        ({"linestyle": ""}, f"{counts['other negatives']} other negatives, not shown"),
    ]
    return [Line2D([], [], label=label, **style) for style, label in marks]  # type: ignore[arg-type]


def save_picture(drawn: Drawn, title: str, path: Path) -> None:
    """Writes the picture as a PNG, whole or not at all. Nothing global of matplotlib is used or changed."""
    height, width = drawn.pixels.shape[:2]
    inches = max(_LEAST, height, width) / max(height, width) / _DPI
    figure = Figure(figsize=(width * inches, height * inches), dpi=_DPI)
    FigureCanvasAgg(figure)
    paint(figure.add_axes((0, 0, 1, 1)), drawn, title)
    with files.replacing(path, durable=False) as file:
        figure.savefig(file, format="png", bbox_inches="tight", pad_inches=0.05)
