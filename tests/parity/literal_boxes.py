"""Boxes of the literal implementation: numpy, in float32 where both codes decide by the last digit.

Coordinates are float32 as in both codes, since ties of IoU hang on their rounding. What is a loss runs in float64.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from literal_rules import SCALE, STRIDES, WEIGHTS, Rules

Array = np.ndarray


def anchor_grid(rules: Rules, padded: tuple[int, int]) -> tuple[Array, list[int], list[tuple[int, int, int]]]:
    """Return boxes [A, 4], the level of each, and its (row, column, stride)."""
    boxes, level, cells = [], [], []
    for number, stride in enumerate(STRIDES):
        for row in range(-(-padded[0] // stride)):
            for column in range(-(-padded[1] // stride)):
                x, y = (column + rules.center) * stride, (row + rules.center) * stride
                half = (SCALE * stride - rules.one) / 2
                boxes.append((x - half, y - half, x + half, y + half))
                level.append(number)
                cells.append((row, column, stride))
    return np.array(boxes, np.float32), level, cells


def takes_part(rules: Rules, cells: list[tuple[int, int, int]], size: tuple[int, int]) -> list[bool]:
    """Return whether each anchor is used in training on an image of size (h, w) within its padding."""
    if rules.all_anchors:
        return [True] * len(cells)
    h, w = (-(-side // 32) * 32 for side in size)
    return [row < math.ceil(h / stride) and column < math.ceil(w / stride) for row, column, stride in cells]


def iou(box: Array, boxes: Array, one: int) -> Array:
    """Return the IoU of a box [4] with boxes [N, 4], in their dtype."""
    one = box.dtype.type(one)
    w = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0]) + one
    h = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1]) + one
    inter = np.maximum(w, 0) * np.maximum(h, 0)
    own = (box[2] - box[0] + one) * (box[3] - box[1] + one)
    areas = (boxes[:, 2] - boxes[:, 0] + one) * (boxes[:, 3] - boxes[:, 1] + one)
    union = own + areas - inter
    return inter / union if one else inter / np.maximum(union, box.dtype.type(1e-6))


def _of_anchors(rules: Rules, anchors: Array) -> tuple[Array, Array, Array, Array]:
    """Return widths, heights and centers, each [N] float32."""
    one = np.float32(rules.one)
    w, h = anchors[:, 2] - anchors[:, 0] + one, anchors[:, 3] - anchors[:, 1] + one
    return w, h, (anchors[:, 0] + anchors[:, 2]) / 2, (anchors[:, 1] + anchors[:, 3]) / 2


def encode(rules: Rules, boxes: Array, anchors: Array) -> Array:
    """Encode boxes as deltas [N, 4] float32 from anchors."""
    w, h, x, y = _of_anchors(rules, anchors)
    own_w, own_h, own_x, own_y = _of_anchors(rules, boxes)
    log = [torch.log(torch.from_numpy(ratio)).numpy() for ratio in (own_w / w, own_h / h)]
    deltas = ((own_x - x) / w, (own_y - y) / h, *log)
    return np.stack([d * np.float32(factor) for d, factor in zip(deltas, WEIGHTS, strict=True)], 1)


def sides_of(rules: Rules, deltas: Array, anchors: Array) -> tuple[Array, Array]:
    """Return the decoded sides [N, 2] float32, and whether each depends on its delta [N, 2] (not beyond the clamp)."""
    w, h, _, _ = _of_anchors(rules, anchors)
    logs = deltas[:, 2:] / np.float32(WEIGHTS[2])
    most = np.float32(math.log(1000 / 16))
    follows = (logs <= most) & ((logs >= -most) | (not rules.clamp_below))
    cut = np.clip(logs, -most, most) if rules.clamp_below else np.minimum(logs, most)
    return torch.exp(torch.from_numpy(cut)).numpy() * np.stack((w, h), 1), follows


def decode(rules: Rules, deltas: Array, anchors: Array) -> Array:
    """Decode boxes [N, 4] float32."""
    w, h, x, y = _of_anchors(rules, anchors)
    sides, _ = sides_of(rules, deltas, anchors)
    half_w, half_h = (np.float32(0.5) * (sides[:, i] - np.float32(rules.one)) for i in (0, 1))
    x, y = deltas[:, 0] / np.float32(WEIGHTS[0]) * w + x, deltas[:, 1] / np.float32(WEIGHTS[1]) * h + y
    return np.stack((x - half_w, y - half_h, x + half_w, y + half_h), 1)


def giou_areas(rules: Rules, boxes: Array, targets: Array) -> tuple[Array, Array, Array]:
    """Return areas [N] float64 of intersection, union and enclosing box of boxes and targets [N, 4], without + 1."""
    x1, y1, x2, y2 = boxes.astype(np.float64).T
    tx1, ty1, tx2, ty2 = targets.astype(np.float64).T
    x2, y2 = np.maximum(x1, x2), np.maximum(y1, y2)
    inter_w, inter_h = np.minimum(x2, tx2) - np.maximum(x1, tx1), np.minimum(y2, ty2) - np.maximum(y1, ty1)
    inter = np.where((inter_w > 0) & (inter_h > 0), inter_w * inter_h, 0)
    union = (x2 - x1) * (y2 - y1) + (tx2 - tx1) * (ty2 - ty1) - inter
    hull = (np.maximum(x2, tx2) - np.minimum(x1, tx1)) * (np.maximum(y2, ty2) - np.minimum(y1, ty1))
    if rules.giou == "add":
        return inter, union + 1e-7, hull + 1e-7
    return inter, np.maximum(union, 1e-6), np.maximum(hull, 1e-6)


def giou_loss(rules: Rules, boxes: Array, targets: Array) -> Array:
    """Return 1 - GIoU [N] float64 of boxes and their targets, each [N, 4]."""
    inter, union, hull = giou_areas(rules, boxes, targets)
    return 1 - (inter / union - (hull - union) / hull)


def clip(rules: Rules, boxes: Array, size: tuple[int, int]) -> Array:
    """Clip boxes to an image of size (h, w)."""
    h, w = size
    limits = np.array([w, h, w, h], np.float32) - np.float32(rules.one)
    return np.minimum(np.maximum(boxes, np.float32(0)), limits)
