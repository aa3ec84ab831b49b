"""Dynamic soft label assignment: SimOTA with soft class targets and a soft center prior (RTMDet, Lyu et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from paa.assign.matching import gather_targets, non_empty
from paa.assign.pairs import by_parts, cheapest_pairs, margin, of_labels, per_anchor
from paa.boxes import BoxCoder, centers, iou_matrix, iou_pairs
from paa.checks import Checked, checked, integer, number
from paa.structures import IGNORED, Anchors, Assignment, Predictions, Targets


@dataclass(eq=False)
class DynamicSoftLabel(Checked):
    """Positive: the k anchors of lowest cost, k the sum of the `topk` largest IoUs of the predicted boxes with the GT.

    The cost is the quality focal loss toward the IoU + iou_weight * -ln IoU + 10^(distance of the centers in strides -
    radius). Candidates are the anchors whose center lies in any GT. An anchor of several GTs goes to its cheapest.
    Class target and factor of the box loss are the IoU.

    coder  decodes the predicted deltas.
    """

    coder: BoxCoder
    topk: int = checked(integer, 13, low=1)
    radius: float = checked(number, 3.0, low=0)
    iou_weight: float = checked(number, 3.0, low=0)

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, predictions: Predictions, targets: Targets, progress: float = 0.0
    ) -> Assignment:
        """Assigns the anchors of a batch; progress does not matter. extras: k [B, G], positives that each GT chose."""
        targets = non_empty(targets)
        points, strides = centers(anchors.boxes), per_anchor(anchors, anchors.strides)
        decoded = self.coder.decode(predictions.deltas, anchors.boxes)
        logits = predictions.logits.float()
        toward_0 = F.softplus(logits) * logits.sigmoid().square()
        total = toward_0.sum(-1).unsqueeze(1)

        def any_of(part: Targets, first: int) -> tuple[Tensor, ...]:
            return (((margin(points, part.boxes) > 0) & part.valid.unsqueeze(-1)).any(1, keepdim=True),)

        (candidates,) = by_parts(any_of, targets, len(points))
        candidates = candidates.any(1, keepdim=True) & anchors.inside.unsqueeze(1)

        def costs(part: Targets) -> tuple[Tensor, Tensor]:
            ious = iou_matrix(part.boxes, decoded)
            own = of_labels(logits, part.labels)
            loss = F.binary_cross_entropy_with_logits(own, ious, reduction="none")
            cost = total - of_labels(toward_0, part.labels) + loss * (ious - own.sigmoid()).square()
            gap = (points - centers(part.boxes).unsqueeze(2)).square().sum(-1).sqrt() / strides
            cost = cost - self.iou_weight * (ious + 1e-7).log() + 10 ** (gap - self.radius)
            return cost.where(candidates, torch.inf), ious.where(candidates, 0)

        gt_index, k = cheapest_pairs(costs, targets, len(points), self.topk)
        quality = iou_pairs(decoded, gather_targets(targets, gt_index)[0])
        return Assignment(gt_index.where(anchors.inside, IGNORED), quality, box_weights=quality, extras={"k": k})
