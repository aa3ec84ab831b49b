"""What assigners share that look at all pairs of ground truths and anchors, a part of the ground truths at a time.

B images, G ground truths of an image (padded), g of a part of them, A anchors, C classes. Nothing of size G x A x C is
made. Ties go to the lowest anchor and to the lowest ground truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor

from paa.assign.candidates import order_key
from paa.assign.matching import non_empty
from paa.boxes import centers, iou_matrix
from paa.structures import NEGATIVE, Anchors, Targets

PAIRS = 2**24
"""Pairs of a batch that are looked at at a time; no result depends on it."""

Costs = Callable[[Targets], tuple[Tensor, Tensor]]
"""From targets to the costs of their pairs [B, g, A] float32, infinite for never, and their IoUs [B, g, A]."""


def by_parts(
    compute: Callable[[Targets, int], tuple[Tensor, ...]], targets: Targets, num_anchors: int
) -> tuple[Tensor, ...]:
    """Join, along dim 1, what `compute(part, first)` returns for parts of the ground truths; first: where it begins."""
    batch, num_gts = targets.labels.shape
    size = max(1, PAIRS // max(1, batch * num_anchors))
    parts = []
    for first in range(0, num_gts, size):
        own = slice(first, first + size)
        part = Targets(targets.boxes[:, own], targets.labels[:, own], targets.valid[:, own])
        parts.append(compute(part, first))
    return parts[0] if len(parts) == 1 else tuple(torch.cat(each, 1) for each in zip(*parts, strict=True))


def per_anchor(anchors: Anchors, of_level: Sequence[float]) -> Tensor:
    """Return for each anchor [A] float32 the value of its level."""
    pieces = zip(anchors.counts, of_level, strict=True)
    return torch.cat([anchors.boxes.new_full((count,), value) for count, value in pieces])


def distances(points: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distances [B, g, A] of points [A, 2] to the left, top, right and bottom side of boxes [B, g, 4]."""
    x, y = points.T.contiguous()
    x1, y1, x2, y2 = boxes.unsqueeze(-1).unbind(-2)
    return x - x1, y - y1, x2 - x, y2 - y


def margin(points: Tensor, boxes: Tensor) -> Tensor:
    """Distance [B, g, A] of points [A, 2] to the nearest side of boxes [B, g, 4]; above 0 inside."""
    return reduce(torch.minimum, distances(points, boxes))


def center_margin(points: Tensor, boxes: Tensor, reach: Tensor) -> Tensor:
    """The same of the squares around the centers of boxes, whose half side is the point's `reach` [A]."""
    x, y = points.T.contiguous()
    middle_x, middle_y = centers(boxes).unsqueeze(-1).unbind(-2)
    sides = (x - (middle_x - reach), y - (middle_y - reach), middle_x + reach - x, middle_y + reach - y)
    return reduce(torch.minimum, sides)


def of_labels(values: Tensor, labels: Tensor) -> Tensor:
    """Values [B, g, A] of the classes `labels` [B, g], of values [B, A, C]."""
    return values.mT.gather(1, labels.unsqueeze(-1).expand(-1, -1, values.shape[1]))


def class_cost(positive: Tensor, negative: Tensor, labels: Tensor) -> Tensor:
    """Class loss [B, g, A] of anchors as `labels` [B, g], of losses [B, A, C] toward 1 and toward 0."""
    return negative.sum(-1).unsqueeze(1) + of_labels(positive - negative, labels)


def lowest(values: Tensor, k: int) -> Tensor:
    """Places [..., min(k, A)] of the lowest values [..., A] float32, ascending."""
    place = torch.arange(values.shape[-1], device=values.device)
    key = order_key(values) * 2**32 + place  # since topk leaves the order of ties open
    return key.topk(min(k, values.shape[-1]), largest=False).values & 0xFFFFFFFF


def least(values: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """Least of values [B, g, A] over the ground truths and its ground truth, both [B, 1, A]."""
    value, gt = values.min(1, keepdim=True)
    return value, gt + first


def least_of_parts(values: Tensor, gts: Tensor) -> tuple[Tensor, Tensor]:
    """Join what `least` returned for parts, [B, parts, A] each: the least value and its ground truth, both [B, A]."""
    value, part = values.min(1, keepdim=True)
    return value.squeeze(1), gts.gather(1, part).squeeze(1)


def best_gt(index: Tensor, values: Tensor, chosen: Tensor, num_anchors: int) -> Tensor:
    """The GT [B, A] of highest value of those that chose an anchor (index, values, chosen [B, G, M]), or NEGATIVE."""
    batch, num_gts, _ = index.shape
    gt = torch.arange(num_gts, device=index.device).view(1, -1, 1)
    key = (order_key(values) * 2**32 + (num_gts - 1 - gt)).where(chosen, torch.iinfo(torch.int64).min)
    best = torch.full((batch, num_anchors), torch.iinfo(torch.int64).min, device=index.device)
    best = best.scatter_reduce_(1, index.flatten(1), key.flatten(1), "amax")
    return (num_gts - 1 - (best & 0xFFFFFFFF)).where(best != torch.iinfo(torch.int64).min, NEGATIVE)


def most_of_gt(gt_index: Tensor, values: Tensor, num_gts: int) -> Tensor:
    """Greatest of values [B, A], from 0, over the positives of an anchor's GT -> [B, A]; it means nothing elsewhere."""
    own = gt_index.clamp(min=0)
    most = values.new_zeros(len(values), num_gts)
    most.scatter_reduce_(1, own, values.where(gt_index >= 0, 0), "amax")
    return most.gather(1, own)


def dynamic_k(ious: Tensor, topk: int) -> Tensor:
    """Positives of a ground truth [B, g], from 1: the sum of its `topk` largest IoUs [B, g, A], rounded down."""
    largest = ious.topk(min(topk, ious.shape[-1])).values
    return largest.double().sum(-1).long().clamp(min=1)


@torch.no_grad()
def best_iou(boxes: Tensor, targets: Targets) -> Tensor:
    """Highest IoU [B, A] of boxes [B, A, 4] with any ground truth; 0 without any."""

    def best(part: Targets, first: int) -> tuple[Tensor]:
        return (iou_matrix(part.boxes, boxes).masked_fill_(~part.valid.unsqueeze(-1), 0).amax(1, keepdim=True),)

    (ious,) = by_parts(best, non_empty(targets), boxes.shape[1])
    return ious.amax(1)


def cheapest_pairs(costs: Costs, targets: Targets, num_anchors: int, topk: int) -> tuple[Tensor, Tensor]:
    """Give each ground truth its `dynamic_k` cheapest anchors -> gt_index [B, A] without IGNORED, and that k [B, G].

    An anchor of several goes to its cheapest ground truth, whether or not that one had chosen it.
    """

    def choose(part: Targets, first: int) -> tuple[Tensor, ...]:
        cost, ious = costs(part)
        cost = cost.masked_fill(~part.valid.unsqueeze(-1), torch.inf)
        k = dynamic_k(ious, topk)
        index = lowest(cost, topk)
        rank = torch.arange(index.shape[-1], device=index.device)
        chosen = (rank < k.unsqueeze(-1)) & cost.gather(-1, index).isfinite()
        return index, chosen, k, *least(cost, first)

    index, chosen, k, cost, gts = by_parts(choose, targets, num_anchors)
    _, cheapest = least_of_parts(cost, gts)
    batch, num_gts, _ = index.shape
    one = torch.arange(1, num_gts + 1, device=index.device).view(1, -1, 1) * chosen
    last, times = (torch.zeros(batch, num_anchors, dtype=torch.int64, device=index.device) for _ in range(2))
    last.scatter_reduce_(1, index.flatten(1), one.flatten(1), "amax")
    times.scatter_add_(1, index.flatten(1), chosen.long().flatten(1))
    return torch.where(times > 1, cheapest, last - 1), k
