"""Figure 8: detections beside ground truth, and which of them belong together.

Legend: G ground truths of an image, D detections of it. Boxes are xyxy in pixels of the stored image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.images import decode
from paa.drawing.assignment import LETTERS
from paa.drawing.labels import draw_labels
from paa.evaluation import Results
from paa.figures.panels import Panel, panels
from paa.figures.style import BLUE, GREEN, SKY, VERMILION

SCORE, BEST = 0.5, 10
"""Detections are shown from this score on; of an image its best so many, or as many as it has ground truths."""

PAIRS = 2
"""Images in a row, each with its ground truth and its detections."""

MATCHED, ALONE, CROWD = "matched", "alone", "crowd"
"""What became of a box: it has its counterpart at IoU 0.5, it has none, or it is or matches a crowd."""

_LOOKS: dict[str, tuple[str, str, Any]] = {  # color, a pale one for letters to stand on, line
    MATCHED: (BLUE, SKY, "solid"),
    ALONE: (VERMILION, "#F2A86F", (0, (3, 2))),
    CROWD: (GREEN, "#8FD0BC", (0, (1, 1))),
}


@dataclass(frozen=True)
class Detected:
    """An image with its ground truths and detections.

    image   its id; pixels [h, w, 3].
    truths  [G, 4] with truth_names; truth_kinds, of MATCHED, ALONE, CROWD.
    boxes   [D, 4] with names and scores [D], best first; kinds likewise.
    """

    image: int
    pixels: np.ndarray
    truths: np.ndarray
    truth_names: list[str]
    truth_kinds: list[str]
    boxes: np.ndarray
    names: list[str]
    scores: np.ndarray
    kinds: list[str]

    @classmethod
    def of(cls, index: CocoIndex, i: int, results: Results, partner: np.ndarray) -> Detected:
        """Image at position `i`; `partner` [D] is the annotation that each detection of `results` matches, or -1."""
        rows = slice(int(index.offsets[i]), int(index.offsets[i + 1]))
        own = np.flatnonzero(results.image_ids == index.image_ids[i])
        own = own[np.argsort(-results.scores[own], kind="stable")]
        found = np.isin(np.arange(rows.start, rows.stop), partner)
        return cls(
            image=int(index.image_ids[i]),
            pixels=np.asarray(decode(index, i)),
            truths=_corners(index.boxes[rows]),
            truth_names=[index.category_names[label] for label in index.labels[rows]],
            truth_kinds=_kinds(found, index.crowd[rows]),
            boxes=_corners(results.boxes[own]),
            names=[index.category_names[label] for label in results.labels[own]],
            scores=results.scores[own],
            kinds=_kinds(partner[own] >= 0, index.crowd[partner[own]] & (partner[own] >= 0)),
        )


def worth_showing(index: CocoIndex, results: Results, score: float) -> Results:
    """Of each image of `index` the best detections from `score` on: BEST, or as many as it has ground truths."""
    most = np.maximum(np.diff(index.offsets), BEST)[np.searchsorted(index.image_ids, results.image_ids)]
    rows = results.best(most)
    return results.take(rows[results.scores[rows] >= score])


def draw(images: Sequence[Detected], score: float) -> Figure:
    """For each image its ground truth and, to the right of it, its detections from `score` on."""
    rows = [images[at : at + PAIRS] for at in range(0, len(images), PAIRS)]
    figure, places = panels([[one.pixels for one in row for _ in range(2)] for row in rows], 0.4)
    for row, own in zip(rows, places, strict=True):
        for one, left, right in zip(row, own[::2], own[1::2], strict=True):
            _boxes(left, one.pixels, one.truths, one.truth_names, one.truth_kinds)
            found, counted = one.truth_kinds.count(MATCHED), len(one.truths) - one.truth_kinds.count(CROWD)
            left.label(f"image {one.image}: ground truth", f"{found} of {counted} found")
            texts = [f"{name} {score:.2f}" for name, score in zip(one.names, one.scores, strict=True)]
            _boxes(right, one.pixels, one.boxes, texts, one.kinds)
            right.label(f"image {one.image}: detections", f"{one.kinds.count(MATCHED)} of {len(texts)} match")
    labels = {MATCHED: "match at IoU 0.5, of one class", ALONE: "missed, or false", CROWD: "crowd: counts neither way"}
    if not any(CROWD in one.truth_kinds for one in images):
        del labels[CROWD]
    marks = [
        Line2D([], [], color=_LOOKS[kind][0], linestyle=_LOOKS[kind][2], linewidth=1.2, label=text)
        for kind, text in labels.items()
    ]
    note = f"detections from score {score:g} on, of an image at most {BEST} or as many as ground truths"
    figure.legend(handles=marks, title=note, title_fontsize=6.5, loc="lower center", ncols=3, borderaxespad=0.2)
    return figure


def _boxes(panel: Panel, pixels: np.ndarray, boxes: np.ndarray, texts: list[str], kinds: list[str]) -> None:
    axis, (height, width) = panel.axis, pixels.shape[:2]
    axis.imshow(pixels, interpolation="nearest")
    for (x1, y1, x2, y2), kind in list(zip(boxes, kinds, strict=True))[::-1]:  # the best on top
        color, _, line = _LOOKS[kind]
        box = {"xy": (x1, y1), "width": x2 - x1, "height": y2 - y1, "fill": False}
        axis.add_patch(Rectangle(**box, edgecolor="white", linewidth=1.8, zorder=1.9))
        axis.add_patch(Rectangle(**box, edgecolor=color, linewidth=1.0, linestyle=line, zorder=2))
    tints = [_LOOKS[kind][1] for kind in kinds]
    draw_labels(axis, boxes, texts, tints, shape=(height, width), inches=panel.inches, points=LETTERS)
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])


def _kinds(paired: np.ndarray, crowd: np.ndarray) -> list[str]:
    return [CROWD if of_crowd else MATCHED if has else ALONE for has, of_crowd in zip(paired, crowd, strict=True)]


def _corners(boxes: np.ndarray) -> np.ndarray:
    """xywh -> xyxy."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
