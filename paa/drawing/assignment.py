"""What an assigner made of the anchors of one image, as arrays and as a picture (the paper's Figures 4a, 6 and 7).

Legend: G ground truths, A anchors, N of them that get a mark. Boxes are xyxy in pixels of the picture's image.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from paa import files
from paa.boxes import iou_pairs
from paa.drawing.labels import draw_labels
from paa.structures import IGNORED, NEGATIVE, Anchors, Assignment, Batch

COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
"""Okabe and Ito's colors: distinguished by the color-blind, and by their lightness in print."""

MARKS = ("o", "s", "^", "D", "v", "P")
"""Both change from one ground truth to the next, so that marks tell what colors may not: 42 before two look alike."""

logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it reports its fonts

NEAR = 0.1  # IoU from which a negative is worth a mark where the assigner names no candidates; PAA's own floor

LETTERS = 5.5
"""Points: the smallest letters that are read in print."""

_DPI = 110
_LEAST = 720  # pixels of the longer side: small images are enlarged


@dataclass(frozen=True)
class Drawn:
    """One image and what became of its anchors, as plain arrays.

    pixels [h, w, 3] uint8; boxes [G, 4] and names of the ground truths; of the anchors that take part in training and
    get a mark: centers [N, 2], level [N] and gt_index [N] as `Assignment.gt_index`. `what` says which negatives are
    worth one; `others` counts the rest, all of them negative.
    """

    pixels: np.ndarray
    boxes: np.ndarray
    names: Sequence[str]
    centers: np.ndarray
    level: np.ndarray
    gt_index: np.ndarray
    what: str
    others: int

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
            near = torch.zeros(len(corners), dtype=torch.bool)
            near[found.extras["candidates"][at, :count].cpu()[valid]] = True
            what = "negative candidates"
        else:
            best = iou_pairs(corners, boxes[:, None]).amax(0) if count else torch.zeros(len(corners))
            near, what = best >= NEAR, f"negatives of IoU {NEAR:g} and above"
        marked = inside & (near.numpy() | (gt_index != NEGATIVE))
        return cls(
            pixels=pixels,
            boxes=boxes.numpy() * factor,
            names=[names[int(label)] for label in batch.targets.labels[at, :count]],
            centers=((corners[:, :2] + corners[:, 2:]) / 2).numpy()[marked] * factor[:2],
            level=anchors.level.cpu().numpy()[marked],
            gt_index=gt_index[marked],
            what=what,
            others=int(inside.sum() - marked.sum()),
        )

    @property
    def counts(self) -> dict[str, int]:
        """Anchors that are positive, ignored, marked negative, and all other negatives."""
        return {
            "positive": int((self.gt_index >= 0).sum()),
            "ignored": int((self.gt_index == IGNORED).sum()),
            self.what: int((self.gt_index == NEGATIVE).sum()),
            "other negatives": self.others,
        }

    def save(self, path: Path) -> None:
        """Write all but the pixels as .npz, whole or not at all."""
        arrays = {
            "size": np.array(self.pixels.shape[:2], dtype=np.int64),
            "boxes": self.boxes.astype(np.float64),
            "names": np.array(self.names, dtype=np.str_),
            "centers": self.centers.astype(np.float64),
            "level": self.level.astype(np.int8),
            "gt_index": self.gt_index.astype(np.int32),
            "what": np.array(self.what),
            "others": np.array(self.others, dtype=np.int64),
        }
        files.write_bytes(path, files.npz_bytes(arrays), durable=False)

    @classmethod
    def load(cls, path: Path, image: Image.Image) -> Drawn:
        """Read what `save` wrote; `image` is the picture's image in any size. ValueError names a file that is torn."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            height, width = arrays.pop("size").tolist()
            pixels = np.asarray(image.convert("RGB").resize((width, height)))
            names, what, others = arrays.pop("names").tolist(), str(arrays.pop("what")), int(arrays.pop("others"))
            return cls(pixels=pixels, names=names, what=what, others=others, **arrays)
        except FileNotFoundError:
            raise
        except Exception as error:
            raise ValueError(f"{path}: not the assignment of an image ({error})") from error


def style_of(g: int) -> tuple[str, str]:
    """Color and mark of ground truth `g`."""
    return COLORS[g % len(COLORS)], MARKS[g % len(MARKS)]


def paint(axis: Axes, drawn: Drawn, title: str, inches: float = 6.5) -> None:
    """Paint image, ground truths and anchors into `axis`.

    Each positive is at its anchor's center in the color and mark of its ground truth, larger on coarser levels; the
    box of a ground truth that has none is dashed. inches: what the image's height comes to in print; below 6.5 marks
    and lines are smaller, and letters as far as they can be read.
    """
    height, width = drawn.pixels.shape[:2]
    size = min((inches / 6.5) ** 0.4, 1.0)
    axis.imshow(drawn.pixels, interpolation="nearest")
    negative, ignored = (drawn.centers[drawn.gt_index == kind].T for kind in (NEGATIVE, IGNORED))
    look: dict[str, Any] = {"marker": "d", "color": "white", "edgecolor": "black", "linewidth": 0.8 * size, "zorder": 3}
    axis.scatter(negative[0], negative[1], s=17 * size**2, **look)
    axis.scatter(ignored[0], ignored[1], s=34 * size**2, marker="x", color="black", linewidth=2.2 * size, zorder=4)
    axis.scatter(ignored[0], ignored[1], s=28 * size**2, marker="x", color="white", linewidth=1.0 * size, zorder=4)
    for g in range(len(drawn.boxes)):
        _paint_truth(axis, drawn, g, size)
    draw_labels(
        axis,
        drawn.boxes,
        [f"{name} {int((drawn.gt_index == g).sum())}" for g, name in enumerate(drawn.names)],
        [style_of(g)[0] for g in range(len(drawn.boxes))],
        shape=(height, width),
        inches=inches,
        points=max(7 * size, LETTERS),
    )
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
    axis.set_title(title, fontsize=max(9 * size, LETTERS))


def _paint_truth(axis: Axes, drawn: Drawn, g: int, size: float) -> None:
    """The box of one ground truth, and its positives."""
    (tint, mark), own = style_of(g), drawn.gt_index == g
    x1, y1, x2, y2 = drawn.boxes[g]
    dash = "solid" if own.any() else (0, (3, 2))
    box: dict[str, Any] = {"xy": (x1, y1), "width": x2 - x1, "height": y2 - y1, "fill": False, "linestyle": dash}
    axis.add_patch(Rectangle(**box, edgecolor="black", linewidth=2.6 * size, zorder=1.9))
    axis.add_patch(Rectangle(**box, edgecolor=tint, linewidth=1.6 * size, zorder=2))
    x, y = drawn.centers[own].T
    areas = (16 + 12 * drawn.level[own]) * size**2
    axis.scatter(x, y, s=areas, marker=mark, color=tint, edgecolor="black", linewidth=0.9 * size, zorder=6)


def legend_handles(positive: str, ignored: str, negative: str, truth: str, dashed: str = "") -> list[Line2D]:
    """The marks of `paint` with these labels; the dashed box where it has one."""
    edge = {"linestyle": "", "markeredgecolor": "black"}
    marks = [
        ({"marker": "o", "markersize": 6, "color": "gray", **edge}, positive),
        ({"marker": "x", "markersize": 6, "linestyle": "", "color": "white"}, ignored),
        ({"marker": "d", "markersize": 5, "markeredgewidth": 0.8, "color": "white", **edge}, negative),
        ({"color": "black", "linewidth": 1.6}, truth),
        ({"color": "black", "linewidth": 1.6, "linestyle": (0, (3, 2))}, dashed),
    ]
    return [Line2D([], [], label=label, **style) for style, label in marks if label]  # type: ignore[arg-type]


def counted_handles(drawn: Drawn) -> list[Line2D]:
    """Return the marks of `paint` with how many of each the picture has."""
    counts, without = drawn.counts, sum(not (drawn.gt_index == g).any() for g in range(len(drawn.boxes)))
    handles = legend_handles(
        f"{counts['positive']} positive (color of its ground truth)",
        f"{counts['ignored']} ignored",
        f"{counts[drawn.what]} {drawn.what}",
        f"{len(drawn.boxes)} ground truths, with their positives",
        f"{without} without a positive" if without else "",
    )
    return [*handles, Line2D([], [], linestyle="", label=f"{drawn.others} other negatives, not shown")]


def save_picture(drawn: Drawn, title: str, path: Path) -> None:
    """Write the picture as a PNG with a legend that counts, whole or not at all.

    Nothing global of matplotlib is used or changed.
    """
    height, width = drawn.pixels.shape[:2]
    inches = max(_LEAST, height, width) / max(height, width) / _DPI
    figure = Figure(figsize=(width * inches, height * inches), dpi=_DPI)
    FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1))
    paint(axis, drawn, title, height * inches)
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.01)}
    axis.legend(handles=counted_handles(drawn), ncols=2, fontsize=8, facecolor="#bbbbbb", **place)
    with files.replacing(path, durable=False) as file:
        figure.savefig(file, format="png", bbox_inches="tight", pad_inches=0.05)
