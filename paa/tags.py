"""Names beside boxes, each where it covers the others least."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.textpath import TextPath

PAD = 0.8
"""Points between a tag's letters and its edge."""


def put_tags(
    axis: Axes,
    boxes: np.ndarray,
    texts: Sequence[str],
    tints: Sequence[str],
    *,
    shape: tuple[int, int],
    inches: float,
    points: float,
) -> None:
    """Writes a text on a ground of its tint beside each box [N, 4] (xyxy in pixels of the image).

    shape   (height, width) of the image in pixels, inches its height in print; points the height of the letters.
    """
    pixel = shape[0] / (72 * inches)  # pixels of a point
    widths = np.array([(TextPath((0, 0), text, size=points).get_extents().width + 2 * PAD) for text in texts]) * pixel
    line = (points + 2 * PAD) * pixel
    for (x, y), text, tint in zip(places(boxes, widths, line, shape), texts, tints, strict=True):
        ground = {"facecolor": tint, "pad": PAD, "linewidth": 0, "alpha": 0.85}
        at = (x + PAD * pixel, y - line / 2)
        axis.text(*at, text, fontsize=points, color="black", va="center_baseline", bbox=ground, zorder=5, clip_on=True)


def places(boxes: np.ndarray, widths: np.ndarray, line: float, shape: tuple[int, int]) -> np.ndarray:
    """Lower left corners [N, 2] of tags of `widths` [N] and height `line`, all in pixels, within an image of `shape`.

    A tag stands above its box at the left; where another is in the way, above at the right, below, or inside: where it
    covers least of those before it.
    """
    height, width = shape
    taken, out = np.zeros((0, 4)), []
    for (x1, y1, x2, y2), wide in zip(boxes, widths, strict=True):
        right = x2 - wide
        tried = [(x1, y1), (right, y1), (x1, y2 + line), (right, y2 + line), (x1, y1 + line), (right, y2), (x1, y2)]
        least, best = np.inf, (x1, y1)
        for x, y in tried:
            outside = y < line or y > height
            x, y = float(np.clip(x, 0, max(width - wide, 0))), float(np.clip(y, line, max(height, line)))
            low = np.maximum(taken[:, :2], (x, y - line))
            high = np.minimum(taken[:, 2:], (x + wide, y))
            covered = np.clip(high - low, 0, None).prod(1).sum() + outside * wide * line / 4
            if covered < least:
                least, best = covered, (x, y)
        out.append(best)
        taken = np.concatenate([taken, [[best[0], best[1] - line, best[0] + wide, best[1]]]])
    return np.array(out).reshape(-1, 2)
