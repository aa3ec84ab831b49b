"""Names beside boxes, each where it covers the others least."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.textpath import TextPath

PAD = 0.8
"""Points between a tag's letters and its edge."""


def draw_labels(
    axis: Axes,
    boxes: np.ndarray,
    texts: Sequence[str],
    tints: Sequence[str],
    *,
    shape: tuple[int, int],
    inches: float,
    points: float,
    marks: np.ndarray | None = None,
) -> None:
    """Writes a text on a ground of its tint beside each box [N, 4] (xyxy in pixels of the image); the first have the
    better places, and lie on top.

    shape   (height, width) of the image in pixels, inches its height in print; points the height of the letters.
    marks   [K, 2] points that tags leave free where they can.
    """
    pixel = shape[0] / (72 * inches)  # pixels of a point
    texts = [text.replace("$", r"\$") for text in texts]  # else two would make a formula of what stands between them
    widths = np.array([(TextPath((0, 0), text, size=points).get_extents().width + 2 * PAD) for text in texts]) * pixel
    line = (points + 2 * PAD) * pixel
    look: dict[str, Any] = {"fontsize": points, "va": "center_baseline", "clip_on": True}
    found = zip(places(boxes, widths, line, shape, marks), texts, tints, strict=True)
    for i, ((x, y), text, tint) in enumerate(found):
        ground = {"facecolor": tint, "pad": PAD, "linewidth": 0, "alpha": 0.85}
        ink = "white" if _is_dark(tint) else "black"
        axis.text(x + PAD * pixel, y - line / 2, text, **look, color=ink, bbox=ground, zorder=7 + 1 / (i + 1))


def _is_dark(tint: str) -> bool:
    """Whether white letters stand out better than black ones (WCAG's relative luminance, about 0.18)."""
    linear = np.power(to_rgb(tint), 2.2)
    return float(linear @ (0.2126, 0.7152, 0.0722)) < 0.18


def places(
    boxes: np.ndarray, widths: np.ndarray, line: float, shape: tuple[int, int], marks: np.ndarray | None = None
) -> np.ndarray:
    """Lower left corners [N, 2] of tags of `widths` [N] and height `line`, all in pixels, within an image of `shape`.

    A tag stands above its box at the left; where another tag or a mark is in the way, above at the right, below,
    beside, or inside: where it covers least of the tags before it, and of marks.
    """
    height, width = shape
    marks = np.zeros((0, 2)) if marks is None else marks
    taken, out = np.zeros((0, 4)), []
    for (x1, y1, x2, y2), wide in zip(boxes, widths, strict=True):
        right, under = x2 - wide, y1 + line
        above = [(x1, y1), (right, y1), (x1, y2 + line), (right, y2 + line)]
        tried = [*above, (x2, under), (x1 - wide, under), (x2, y2), (x1 - wide, y2), (x1, under), (right, y2), (x1, y2)]
        costs, corners = [], []
        for x, y in tried:
            at = float(np.clip(x, 0, max(width - wide, 0))), float(np.clip(y, line, max(height, line)))
            low, high = np.array([at[0], at[1] - line]), np.array([at[0] + wide, at[1]])
            overlap = np.clip(np.minimum(taken[:, 2:], high) - np.maximum(taken[:, :2], low), 0, None).prod(1).sum()
            hidden = ((marks > low) & (marks < high)).all(1).sum()
            moved = abs(at[0] - x) + abs(at[1] - y)
            costs.append(overlap + hidden * line**2 / 2 + moved * line / 4)
            corners.append([*low, *high])
        best = corners[int(np.argmin(costs))]
        out.append((best[0], best[3]))
        taken = np.concatenate([taken, [best]])
    return np.array(out).reshape(-1, 2)
