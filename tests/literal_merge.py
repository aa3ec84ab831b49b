"""A second implementation of the merge of a multi-scale test, box by box as in the authors' code."""

from __future__ import annotations

from paa.structures import Detections

Box = list[float]


def iou(a: Box, b: Box, legacy: bool) -> float:
    one = 1.0 if legacy else 0.0
    w = max(min(a[2], b[2]) - max(a[0], b[0]) + one, 0)
    h = max(min(a[3], b[3]) - max(a[1], b[1]) + one, 0)
    areas = [(x[2] - x[0] + one) * (x[3] - x[1] + one) for x in (a, b)]
    return w * h / max(sum(areas) - w * h, 1e-6)  # two boxes of no area: 0


def merge(
    pooled: Detections, how: str, threshold: float, floor: float, legacy: bool
) -> list[tuple[Box, float, int, float]]:
    """Return (box, score, label, quality) of each detection, best score first; ties in the order of `pooled`."""
    out: list[tuple[float, int, Box, int, float]] = []
    columns = (pooled.boxes, pooled.scores, pooled.labels, pooled.quality)
    rows = list(zip(*(c.tolist() for c in columns), range(len(pooled)), strict=True))
    for label in {row[2] for row in rows}:
        left = sorted((row for row in rows if row[2] == label), key=lambda row: -row[1])
        while left:
            best = left[0]
            overlap = [(row, iou(best[0], row[0], legacy)) for row in left]
            group = [
                (row, o) for row, o in overlap if row is best or (o > threshold if how == "nms" else o >= threshold)
            ]
            left = [row for row in left if all(row is not member for member, _ in group)]
            box = best[0]
            if how != "nms" and len(group) > 1:
                total = sum(row[1] for row, _ in group)
                box = [sum(row[1] * row[0][k] for row, _ in group) / total for k in range(4)]
            out.append((best[1], best[4], box, label, best[3]))
            for row, o in group[1:] if how == "soft_vote" else []:
                if row[1] * (1 - o) >= floor:
                    out.append((row[1] * (1 - o), row[4], row[0], label, row[3]))
    return [(box, score, label, q) for score, _, box, label, q in sorted(out, key=lambda r: (-r[0], r[1]))]
