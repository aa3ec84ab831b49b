"""ATSS: adaptive training sample selection (Zhang et al., CVPR 2020), the rival of Table 2."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from paa.assign.candidates import order_key
from paa.assign.matching import non_empty
from paa.boxes import center_inside, centers, iou_pairs
from paa.checks import Checked, checked, flag, integer
from paa.structures import IGNORED, NEGATIVE, Anchors, Assignment, Predictions, Targets


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
        """Assigns the anchors of a batch; neither predictions nor progress matter.

        extras: candidates, candidate_ious, candidate_valid [B, G, M] and thresholds [B, G].
        """
        targets = non_empty(targets)
        points = centers(anchors.boxes)
        index = self._nearest(points, targets.boxes, anchors)
        inside = anchors.inside.gather(1, index.flatten(1)).view_as(index)
        valid = inside & targets.valid.unsqueeze(-1)
        boxes = targets.boxes.unsqueeze(2)
        ious = iou_pairs(anchors.boxes[index], boxes, self.legacy)
        threshold = _mean_plus_deviation(ious, valid)
        positive = valid & (ious >= threshold.unsqueeze(-1)) & center_inside(points[index], boxes)
        gt_index = _highest_iou(index, ious, positive, points.shape[0])
        extras = {"candidates": index, "candidate_ious": ious, "candidate_valid": valid, "thresholds": threshold}
        return Assignment(gt_index.where(anchors.inside, IGNORED), extras=extras)

    def _nearest(self, points: Tensor, boxes: Tensor, anchors: Anchors) -> Tensor:
        """Anchors [B, G, M] nearest to each GT, min(topk, anchors of the level) of each level; ties: the lowest anchor.

        Anchors outside of the image come last.
        """
        gap_x, gap_y = (points - centers(boxes).unsqueeze(2)).unbind(-1)
        distance = (gap_x.square() + gap_y.square()).masked_fill_(~anchors.inside.unsqueeze(1), torch.inf)
        # the place goes into the low bits, since topk leaves the order of ties open
        key = order_key(distance) * 2**32 + torch.arange(len(points), device=points.device)
        nearest = [k.topk(min(self.topk, k.shape[-1]), largest=False).values for k in key.split(anchors.counts, dim=-1)]
        return torch.cat(nearest, -1) & 0xFFFFFFFF


def _mean_plus_deviation(values: Tensor, valid: Tensor) -> Tensor:
    """Mean + unbiased standard deviation of the valid values [..., M] -> [...]; the deviation of a single one is 0."""
    count = valid.sum(-1)
    mean = values.where(valid, 0).sum(-1) / count.clamp(min=1)
    spread = (values - mean.unsqueeze(-1)).where(valid, 0).square().sum(-1)
    return mean + (spread / (count - 1).clamp(min=1)).sqrt()


def _highest_iou(index: Tensor, ious: Tensor, positive: Tensor, num_anchors: int) -> Tensor:
    """The GT [B, A] of highest IoU among those that hold an anchor positive (ties: the lowest GT), or NEGATIVE."""
    batch, num_gts, _ = index.shape
    gt = torch.arange(num_gts, device=index.device).view(1, -1, 1)
    key = (order_key(ious) * 2**32 + (num_gts - 1 - gt)).where(positive, -1)
    best = torch.full((batch, num_anchors), -1, device=index.device)
    best = best.scatter_reduce_(1, index.flatten(1), key.flatten(1), "amax")
    return (num_gts - 1 - (best & 0xFFFFFFFF)).where(best >= 0, NEGATIVE)
