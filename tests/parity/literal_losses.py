"""Losses of a batch and their derivatives, as differences of the loss at two near places, without autograd."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from literal_assign import Image, focal, grid, targets_of
from literal_boxes import Array, decode, giou_areas, giou_loss, iou, sides_of
from literal_rules import LAMBDA_1, LAMBDA_2, WEIGHTS, Rules

STEP = 1e-5


def losses(rules: Rules, images: list[Image], gt_index: list[Array]) -> tuple[dict[str, float], dict[str, list[Array]]]:
    """Parts "cls", "box" and "aux", and their derivatives by logits ("cls"), deltas ("reg") and quality ("iou").

    "reg_terms": the same sums as "reg" over the absolute values of what is added there.
    """
    positives = sum(int((index >= 0).sum()) for index in gt_index)
    ious = [_ious(rules, image, index) for image, index in zip(images, gt_index, strict=True)]
    weight_sum = float(sum(each.sum() for each in ious))
    by_cls, by_box, by_aux = _divisors(rules, positives, weight_sum, len(images))
    totals = {"cls": 0.0, "box": 0.0, "aux": 0.0}
    slopes: dict[str, list[Array]] = {"cls": [], "reg": [], "reg_terms": [], "iou": []}
    for image, index, target in zip(images, gt_index, ious, strict=True):
        total, slope = _classification(image, index)
        totals["cls"] += total / by_cls
        slopes["cls"].append(slope / by_cls)
        total, slope, terms = _localisation(rules, image, index, _weights(rules, target, weight_sum))
        totals["box"] += LAMBDA_1 * total / by_box
        slopes["reg"].append(LAMBDA_1 * slope / by_box)
        slopes["reg_terms"].append(LAMBDA_1 * terms / by_box)
        total, slope = _quality(image, index, target)
        totals["aux"] += LAMBDA_2 * total / by_aux
        slopes["iou"].append(LAMBDA_2 * slope / by_aux)
    return totals, slopes


def _divisors(rules: Rules, positives: int, weight_sum: float, images: int) -> tuple[float, float, float]:
    if rules.epsilon:  # MMDetection
        return max(positives, images) + rules.epsilon, weight_sum + rules.epsilon, positives + rules.epsilon
    floored = max(positives, 1)
    return floored, weight_sum if weight_sum > 0 else floored, floored


def _weights(rules: Rules, ious: Array, weight_sum: float) -> Array:
    if rules.epsilon:
        return np.maximum(ious, 1e-12)
    return ious if weight_sum > 0 else np.ones_like(ious)


def _ious(rules: Rules, image: Image, index: Array) -> Array:
    """Return the IoU targets [P] of the positives, of boxes in float32."""
    places = np.flatnonzero(index >= 0)
    if not len(places):
        return np.zeros(0)
    boxes = decode(rules, image.deltas[places], grid(rules, image.padded)[0][places])
    targets = targets_of(rules, image, index[places], places)
    pairs = zip(boxes.astype(np.float64), targets.astype(np.float64), strict=True)
    return np.array([iou(box, target[None], rules.one)[0] for box, target in pairs])


def _slope(f: Callable[[Array], Array], x: Array, step: float = STEP) -> Array:
    return (f(x + step) - f(x - step)) / (2 * step)


def _classification(image: Image, index: Array) -> tuple[float, Array]:
    trained = index != -2
    labels = np.array([image.labels[g] if g >= 0 else -1 for g in index])[trained]
    x = image.logits[trained].astype(np.float64)
    slope = np.zeros(image.logits.shape)
    slope[trained] = _slope(lambda x: focal(x, labels), x)
    return float(focal(x, labels).sum()), slope


def _localisation(rules: Rules, image: Image, index: Array, weights: Array) -> tuple[float, Array, Array]:
    """Return the sum, its derivatives [A, 4], and the sums of the absolute terms of the derivatives."""
    places, slope, terms = np.flatnonzero(index >= 0), np.zeros(image.deltas.shape), np.zeros(image.deltas.shape)
    if not len(places):
        return 0.0, slope, terms
    anchors, deltas = grid(rules, image.padded)[0][places], image.deltas[places]
    targets = targets_of(rules, image, index[places], places)
    boxes = decode(rules, deltas, anchors).astype(np.float64)
    inter, union, hull = giou_areas(rules, boxes, targets)
    by_corner, size_of_terms = np.zeros(boxes.shape), np.zeros(boxes.shape)
    for i in range(4):
        move = np.zeros(4)
        move[i] = STEP
        forth, back = giou_loss(rules, boxes + move, targets), giou_loss(rules, boxes - move, targets)
        by_corner[:, i] = weights * (forth - back) / (2 * STEP)
        areas = zip(giou_areas(rules, boxes + move, targets), giou_areas(rules, boxes - move, targets), strict=True)
        d_inter, d_union, d_hull = (np.abs(after - before) / (2 * STEP) for after, before in areas)
        size_of_terms[:, i] = weights * (
            d_inter / union + inter * d_union / union**2 + d_union / hull + union * d_hull / hull**2
        )
    sides, follows = sides_of(rules, deltas, anchors)
    own = anchors[:, 2:] - anchors[:, :2] + rules.one
    near, far = by_corner[:, :2], by_corner[:, 2:]
    slope[places, :2] = (near + far) * own / WEIGHTS[0]
    slope[places, 2:] = (far - near) * 0.5 * sides * follows / WEIGHTS[2]
    near, far = size_of_terms[:, :2], size_of_terms[:, 2:]
    terms[places, :2] = (near + far) * own / WEIGHTS[0]
    terms[places, 2:] = (near + far) * 0.5 * sides * follows / WEIGHTS[2]
    return float((weights * giou_loss(rules, boxes, targets)).sum()), slope, terms


def _quality(image: Image, index: Array, targets: Array) -> tuple[float, Array]:
    places, slope = np.flatnonzero(index >= 0), np.zeros(image.quality.shape)
    x = image.quality[places].astype(np.float64)

    def entropy(x: Array) -> Array:
        return targets * np.logaddexp(0, -x) + (1 - targets) * np.logaddexp(0, x)

    slope[places] = _slope(entropy, x)
    return float(entropy(x).sum()), slope
