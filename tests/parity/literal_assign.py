"""Procedure 1 of one image: matching, scores, candidates, mixture (scikit-learn's), boundary c."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass

import numpy as np
from literal_boundary import boundary
from literal_boxes import Array, anchor_grid, decode, encode, giou_loss, iou, takes_part
from literal_paa import assign, match_table
from literal_rules import ALPHA, GAMMA, TOPK, Rules
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture


@dataclass(frozen=True)
class Image:
    """One image of a scene: size (h, w), padded size, ground truths, and the network's outputs for each anchor."""

    size: tuple[int, int]
    padded: tuple[int, int]
    boxes: Array
    labels: list[int]
    logits: Array
    deltas: Array
    quality: Array


grid = functools.lru_cache(maxsize=64)(anchor_grid)


def matched(rules: Rules, image: Image) -> list[int]:
    """Return the ground truth of each anchor, -1 for none."""
    anchors, _, cells = grid(rules, image.padded)
    table = [iou(box, anchors, rules.one).tolist() for box in image.boxes]
    inside, floor = takes_part(rules, cells, image.size), float(np.float32(rules.floor))
    return match_table(table, inside, floor, rules.low_quality, rules.at_zero)


def targets_of(rules: Rules, image: Image, belongs: Array, places: Array) -> Array:
    """Return the target boxes [N, 4] of the anchors at `places`, whose ground truths are `belongs`."""
    boxes = image.boxes[belongs]
    if rules.roundtrip:
        anchors = grid(rules, image.padded)[0][places]
        boxes = decode(rules, encode(rules, boxes, anchors), anchors)
    return boxes


def focal(logits: Array, labels: Array) -> Array:
    """Return the focal loss [N, C] float64 of logits [N, C]; label -1: no class."""
    x = logits.astype(np.float64)
    own = labels[:, None] == np.arange(x.shape[1])
    p = 1 / (1 + np.exp(-x))
    positive, negative = np.logaddexp(0, -x), np.logaddexp(0, x)
    return np.where(own, ALPHA * (1 - p) ** GAMMA * positive, (1 - ALPHA) * p**GAMMA * negative)


def scores(rules: Rules, image: Image, belongs: list[int]) -> Array:
    """Return focal + lambda * GIoU loss [A] float32 of each anchor and its ground truth; inf where it has none."""
    places = np.flatnonzero(np.array(belongs) >= 0)
    found = np.full(len(belongs), np.inf, np.float32)
    if len(places):
        own = np.array(belongs)[places]
        boxes = decode(rules, image.deltas[places], grid(rules, image.padded)[0][places])
        location = giou_loss(rules, boxes, targets_of(rules, image, own, places))
        found[places] = focal(image.logits[places], np.array(image.labels)[own]).sum(1) + rules.lambda_score * location
    return found


def fitted(covariance: str, values: tuple[float, ...]) -> tuple[list[int], list[float]]:
    """Return component and log density of ascending values, from scikit-learn's mixture in float64."""
    x = np.array(values, dtype=np.float64).reshape(-1, 1)
    precisions = np.ones((2, 1, 1)) if covariance == "full" else np.ones((2, 1))
    mixture = GaussianMixture(
        2,
        covariance_type=covariance,
        weights_init=[0.5, 0.5],
        means_init=[[x.min()], [x.max()]],
        precisions_init=precisions,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(x)
    return mixture.predict(x).tolist(), mixture.score_samples(x).tolist()


def rule(rules: Rules, values: list[float]) -> list[int]:
    """Label ascending scores by boundary c."""
    options = {"empty_foreground": rules.empty_foreground, "single": rules.single, "pos_peak": rules.pos_peak}
    return boundary("c", values, fitted=functools.partial(fitted, rules.covariance), **options)


def gt_index(rules: Rules, image: Image, belongs: list[int], of: Array) -> list[int]:
    """Return the ground truth of each positive anchor, -1 if negative, -2 if excluded; `of`: scores."""
    _, level, cells = grid(rules, image.padded)
    inside = takes_part(rules, cells, image.size)
    values = of.astype(np.float64).tolist()
    return assign(belongs, values, level, inside, len(image.boxes), TOPK, functools.partial(rule, rules))
