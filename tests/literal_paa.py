"""A second implementation of the paper's Procedure 1, in plain loops over lists, to compare `paa.assign` with."""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

Box = list[float]
Rule = Callable[[list[float]], list[int]]


def float32(x: float) -> float:
    return struct.unpack("f", struct.pack("f", x))[0]


def iou(a: Box, b: Box, legacy: bool = False) -> float:
    one = 1.0 if legacy else 0.0
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + one)
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + one)
    areas = [(box[2] - box[0] + one) * (box[3] - box[1] + one) for box in (a, b)]
    union = areas[0] + areas[1] - w * h
    return float32(w * h / union) if union > 0 else 0.0


def match(
    anchors: list[Box],
    inside: list[bool],
    gts: list[Box],
    floor: float,
    low_quality: str,
    at_zero: bool,
    legacy: bool = False,
) -> list[int]:
    """Return the GT of each anchor, -1 for none."""
    return match_table(
        [[iou(gt, anchor, legacy) for anchor in anchors] for gt in gts], inside, floor, low_quality, at_zero
    )


def match_table(
    table: list[list[float]], inside: list[bool], floor: float, low_quality: str, at_zero: bool
) -> list[int]:
    """Return the GT of each anchor, given the IoU of each GT (row) with each anchor (column)."""
    if not table:
        return [-1] * len(inside)
    belongs = []
    for a in range(len(inside)):
        column = [row[a] for row in table]
        best = column.index(max(column))
        belongs.append(best if inside[a] and column[best] >= float32(floor) and column[best] > 0 else -1)
    if low_quality == "none":
        return belongs
    for g, row in enumerate(table):
        reach = [row[a] for a in range(len(inside)) if inside[a]]
        best = max(reach, default=0.0)
        if not reach or (best == 0 and not at_zero):
            continue
        for a in range(len(inside)):
            if inside[a] and row[a] == best:
                column = [other[a] for other in table]
                belongs[a] = g if low_quality == "claimed" else column.index(max(column))
    return belongs


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def score(logits: list[float], box: Box, label: int, gt: Box, lambda_score: float, alpha: float, gamma: float) -> float:
    """Return focal loss over all classes + lambda * GIoU loss."""
    total = 0.0
    for c, x in enumerate(logits):
        p = 1 / (1 + math.exp(-x))
        if c == label:
            total += alpha * (1 - p) ** gamma * softplus(-x)
        else:
            total += (1 - alpha) * p**gamma * softplus(x)
    w = max(0.0, min(box[2], gt[2]) - max(box[0], gt[0]))
    h = max(0.0, min(box[3], gt[3]) - max(box[1], gt[1]))
    union = (box[2] - box[0]) * (box[3] - box[1]) + (gt[2] - gt[0]) * (gt[3] - gt[1]) - w * h
    hull = (max(box[2], gt[2]) - min(box[0], gt[0])) * (max(box[3], gt[3]) - min(box[1], gt[1]))
    return total + lambda_score * (1 - (w * h / union - (hull - union) / hull))


def decode(deltas: list[float], anchor: Box) -> Box:
    w, h = anchor[2] - anchor[0], anchor[3] - anchor[1]
    x = (anchor[0] + anchor[2]) / 2 + deltas[0] / 10 * w
    y = (anchor[1] + anchor[3]) / 2 + deltas[1] / 10 * h
    limit = math.log(1000 / 16)
    w, h = w * math.exp(min(deltas[2] / 5, limit)), h * math.exp(min(deltas[3] / 5, limit))
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def boundary_c(scores: list[float]) -> list[int]:
    """Label candidates positive up to the densest of the first component of scikit-learn's mixture."""
    if len(scores) == 1:
        return [1]
    x = np.array(scores, dtype=np.float64).reshape(-1, 1)
    start = {"means_init": [[x.min()], [x.max()]], "weights_init": [0.5, 0.5], "precisions_init": [[[1.0]], [[1.0]]]}
    mixture = GaussianMixture(2, **start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        first = mixture.fit(x).predict(x) == 0
    if not first.any():
        return [1] * len(scores)
    density = mixture.score_samples(x)
    peak = max((i for i in range(len(scores)) if first[i]), key=lambda i: (density[i], -i))
    return [int(i <= peak) for i in range(len(scores))]


def assign(
    belongs: list[int],
    scores: list[float],
    level: list[int],
    inside: list[bool],
    gts: int,
    topk: int | None,
    rule: Rule,
) -> list[int]:
    """Return gt_index of every anchor: the `topk` best per level and GT (None: all of the GT), separated by a rule."""
    answer = [-1 if is_in else -2 for is_in in inside]
    for g in range(gts):
        candidates: list[int] = []
        own = [a for a in range(len(scores)) if belongs[a] == g]
        for this in sorted(set(level)):
            mine = [a for a in own if level[a] == this]
            mine.sort(key=lambda a: (scores[a], a))
            candidates += mine[:topk]
        candidates.sort(key=lambda a: (scores[a], a))
        if not candidates:
            continue
        for a, label in zip(candidates, rule([scores[a] for a in candidates]), strict=True):
            answer[a] = {1: g, 0: -1, -1: -2}[label]
    return answer
