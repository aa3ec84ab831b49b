"""ATSS: adaptive training sample selection (Zhang et al., CVPR 2020), the rival of Table 2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from paa.assign.matching import non_empty
from paa.assign.pairs import best_gt, by_parts, lowest
from paa.boxes import center_inside, centers, iou_pairs
from paa.checks import Checked, checked, flag, integer
from paa.structures import IGNORED, Anchors, Assignment, Predictions, Targets


@dataclass(eq=False)
class ATSS(Checked):
    """Positive: of the `topk` anchors of each level nearest to a GT's center, those whose IoU reaches mean + deviation.

    The center of a positive also lies in its GT. An anchor that several GTs want goes to the one that it overlaps most.
    legacy: inclusive-pixel IoU.
    """

    topk: int = checked(integer, 9, low=1)
    legacy: bool = checked(flag, False)

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, predictions: Predictions, targets: Targets, progress: float = 0.0
    ) -> Assignment:
        """Assigns the anchors of a batch; neither predictions nor progress matter. extras: see `adaptive`."""

        def overlaps(index: Tensor, targets: Targets) -> Tensor:
            return iou_pairs(anchors.boxes[index], targets.boxes.unsqueeze(2), self.legacy)

        return adaptive(anchors, targets, self.topk, overlaps)


def adaptive(
    anchors: Anchors, targets: Targets, topk: int, overlaps: Callable[[Tensor, Targets], Tensor]
) -> Assignment:
    """Assign by ATSS's rule; overlaps(index, targets) of anchors [B, G, M] with their GTs stand for IoUs.

    extras: candidates, candidate_ious, candidate_valid [B, G, M] and thresholds [B, G].
    """
    targets = non_empty(targets)
    points = centers(anchors.boxes)

    def nearest(part: Targets, first: int) -> tuple[Tensor]:
        return (_nearest(points, part.boxes, anchors, topk),)

    (index,) = by_parts(nearest, targets, len(points))
    inside = anchors.inside.gather(1, index.flatten(1)).view_as(index)
    valid = inside & targets.valid.unsqueeze(-1)
    ious = overlaps(index, targets)
    threshold = _mean_plus_deviation(ious, valid)
    positive = valid & (ious >= threshold.unsqueeze(-1)) & center_inside(points[index], targets.boxes.unsqueeze(2))
    gt_index = best_gt(index, ious, positive, len(points))
    extras = {"candidates": index, "candidate_ious": ious, "candidate_valid": valid, "thresholds": threshold}
    return Assignment(gt_index.where(anchors.inside, IGNORED), extras=extras)


def _nearest(points: Tensor, boxes: Tensor, anchors: Anchors, topk: int) -> Tensor:
    """Anchors [B, G, M] nearest to each GT, min(topk, anchors of the level) of each level; ties: the lowest anchor.

    Anchors outside of the image come last.
    """
    gap_x, gap_y = (points - centers(boxes).unsqueeze(2)).unbind(-1)
    distance = (gap_x.square() + gap_y.square()).masked_fill_(~anchors.inside.unsqueeze(1), torch.inf)
    levels = distance.split(anchors.counts, dim=-1)
    firsts = [sum(anchors.counts[:i]) for i in range(len(levels))]
    return torch.cat([lowest(level, topk) + first for level, first in zip(levels, firsts, strict=True)], -1)


def _mean_plus_deviation(values: Tensor, valid: Tensor) -> Tensor:
    """Mean + unbiased standard deviation of the valid values [..., M] -> [...]; the deviation of a single one is 0."""
    count = valid.sum(-1)
    mean = values.where(valid, 0).sum(-1) / count.clamp(min=1)
    spread = (values - mean.unsqueeze(-1)).where(valid, 0).square().sum(-1)
    return mean + (spread / (count - 1).clamp(min=1)).sqrt()
