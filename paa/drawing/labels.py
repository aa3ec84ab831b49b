"""Names above boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

PAD = 0.8
"""Points between a label's letters and its edge."""


def draw_labels(
    axis: Axes,
    boxes: np.ndarray,
    texts: Sequence[str],
    tints: Sequence[str],
    *,
    shape: tuple[int, int],
    inches: float,
    points: float,
) -> None:
    """Write a text on a ground of its tint above each box [N, 4] (xyxy in pixels of the image); the first lie on top.

    A label starts at the left of its box, or ends at the right of a box in the right half of the image; where there is
    no room above, it is inside.

    shape   (height, width) of the image in pixels, inches its height in print; points the height of the letters.
    """
    height, width = shape
    pixel = height / (72 * inches)  # pixels of a point
    line = (points + 2 * PAD) * pixel
    for i, ((x1, y1, x2, _), text, tint) in enumerate(zip(boxes, texts, tints, strict=True)):
        is_left = x1 + x2 < width
        x = max(x1, 0) + PAD * pixel if is_left else min(x2, width) - PAD * pixel
        axis.text(
            x,
            max(y1, line) - line / 2,
            text.replace("$", r"\$"),  # else two would make a formula of what stands between them
            fontsize=points,
            va="center_baseline",
            ha="left" if is_left else "right",
            clip_on=True,
            color="white" if _is_dark(tint) else "black",
            bbox={"facecolor": tint, "pad": PAD, "linewidth": 0, "alpha": 0.85},
            zorder=7 + 1 / (i + 1),
        )


def _is_dark(tint: str) -> bool:
    """Whether white letters stand out better than black ones (WCAG's relative luminance, about 0.18)."""
    linear = np.power(to_rgb(tint), 2.2)
    return float(linear @ (0.2126, 0.7152, 0.0722)) < 0.18
