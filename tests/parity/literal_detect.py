"""Detect in one image: threshold, best of each level, NMS per class, best hundred, voting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from literal_assign import Image, grid
from literal_boxes import Array, clip, decode, iou
from literal_rules import MOST, NMS_IOU, PRE_NMS, SCORE, Rules


@dataclass(frozen=True)
class Found:
    """Detections, and the margin of the closest decision: least |IoU - threshold|, least gap at the cut."""

    boxes: Array
    voted: Array
    scores: Array
    labels: Array
    margin: float


def detect(rules: Rules, image: Image) -> Found:
    """Return the detections, best first."""
    anchors, level, _ = grid(rules, image.padded)
    pairs = _candidates(rules, image, np.array(level))
    places, labels = (np.array([pair[i] for pair in pairs], int) for i in (0, 1))
    scores = np.array([pair[2] for pair in pairs])
    boxes = clip(rules, decode(rules, image.deltas[places], anchors[places]), image.size).astype(np.float64)
    kept: list[int] = []
    margin = np.inf
    for label in sorted(set(labels.tolist())):
        own, near = _suppress(rules, boxes, scores, np.flatnonzero(labels == label))
        kept, margin = kept + own, min(margin, near)
    kept.sort(key=lambda i: -scores[i])
    if len(kept) > MOST:
        last = scores[kept[MOST - 1]]
        margin = min(margin, last - scores[kept[MOST]])
        kept = [i for i in kept if scores[i] >= last] if rules.keep_ties else kept[:MOST]
    voted = [_vote(rules, boxes, scores, i, np.flatnonzero(labels == labels[i])) for i in kept]
    return Found(boxes[kept], np.array(voted).reshape(-1, 4), scores[kept], labels[kept], margin)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def _candidates(rules: Rules, image: Image, level: Array) -> list[tuple[int, int, float]]:
    """Return (anchor, class, score) of the inputs of NMS."""
    prob = _sigmoid(image.logits)
    product = prob * _sigmoid(image.quality)[:, None]
    unified = np.sqrt(product) if rules.root else product
    found = []
    for number in range(level.max() + 1):
        of = np.flatnonzero(level == number)
        if rules.by_location:
            best = of[np.argsort(-unified[of].max(1), kind="stable")[:PRE_NMS]]
            found += [(a, c, unified[a, c]) for a in np.sort(best) for c in np.flatnonzero(unified[a] > SCORE)]
        else:
            pairs = [(a, c, unified[a, c]) for a in of for c in np.flatnonzero(prob[a] > SCORE)]
            found += sorted(pairs, key=lambda pair: -pair[2])[:PRE_NMS]
    return found


def _suppress(rules: Rules, boxes: Array, scores: Array, places: Array) -> tuple[list[int], float]:
    left, kept, margin = places[np.argsort(-scores[places], kind="stable")], [], np.inf
    while len(left):
        kept.append(int(left[0]))
        overlap = iou(boxes[left[0]], boxes[left[1:]], rules.one)
        margin = min(margin, np.abs(overlap - NMS_IOU).min(initial=np.inf))
        left = left[1:][overlap <= NMS_IOU]
    return kept, margin


def _vote(rules: Rules, boxes: Array, scores: Array, i: int, company: Array) -> Array:
    overlap = iou(boxes[i], boxes[company], rules.one)
    near = overlap > rules.neighbor
    if not near.any():
        return boxes[i]
    weights = np.exp(-((1 - overlap[near]) ** 2) / rules.sigma_t) * scores[company[near]]
    return (weights[:, None] * boxes[company[near]]).sum(0) / weights.sum()
