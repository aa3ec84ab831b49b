"""SimOTA: each ground truth takes its cheapest anchors, as many as its IoUs sum to (YOLOX, Ge et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from paa.assign.matching import gather_targets, non_empty
from paa.assign.pairs import by_parts, center_margin, cheapest_pairs, class_cost, margin, per_anchor
from paa.boxes import BoxCoder, centers, iou_matrix, iou_pairs
from paa.checks import Checked, checked, choice, flag, integer, number
from paa.structures import IGNORED, Anchors, Assignment, Predictions, Targets


@dataclass(eq=False)
class SimOTA(Checked):
    """Positive: the k anchors of lowest cost, k the sum of the `topk` largest IoUs of the predicted boxes with the GT.

    The cost is the binary cross-entropy of the class scores (times the predicted quality, where there is one, and the
    root of that) + iou_weight * -ln IoU + far for a pair that is not near. An anchor of several GTs goes to its
    cheapest.

    coder      decodes the predicted deltas.
    version    "release" (YOLOX until 2023): near is a center that lies in the GT and within `radius` strides of its
               center; candidates are all anchors for which one of both holds for any GT. 2023: near is only the
               latter, and candidates are the anchors near any GT.
    radius     half side of the square around a GT's center, in strides.
    iou_floor  added to the IoU before its logarithm.
    soft       the IoU of a positive is its class target (`Assignment.quality`).
    """

    coder: BoxCoder
    version: str | int = checked(choice, "release", choices=("release", 2023))
    topk: int = checked(integer, 10, low=1)
    radius: float = checked(number, 2.5, above=0)
    iou_weight: float = checked(number, 3.0, low=0)
    iou_floor: float = checked(number, 1e-8, above=0, below=1)
    far: float = checked(number, 1e5, low=0)
    soft: bool = checked(flag, False)

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, predictions: Predictions, targets: Targets, progress: float = 0.0
    ) -> Assignment:
        """Assigns the anchors of a batch; progress does not matter. extras: k [B, G], positives that each GT chose."""
        targets = non_empty(targets)
        points, reach = centers(anchors.boxes), self.radius * per_anchor(anchors, anchors.strides)
        decoded = self.coder.decode(predictions.deltas, anchors.boxes)
        score = predictions.logits.float().sigmoid()
        if predictions.auxiliary is not None:
            score = (score * predictions.auxiliary.float().sigmoid().unsqueeze(-1)).sqrt()
        toward_1, toward_0 = -score.log().clamp(min=-100), -(-score).log1p().clamp(min=-100)

        def place(part: Targets) -> tuple[Tensor, Tensor]:
            """Whether pairs [B, g, A] are near, and whether they make an anchor a candidate."""
            near = center_margin(points, part.boxes, reach) > 0
            if self.version == 2023:
                return near, near
            inside = margin(points, part.boxes) > 0
            return near & inside, near | inside

        def any_of(part: Targets, first: int) -> tuple[Tensor, ...]:
            return ((place(part)[1] & part.valid.unsqueeze(-1)).any(1, keepdim=True),)

        (candidates,) = by_parts(any_of, targets, len(points))
        candidates = candidates.any(1, keepdim=True) & anchors.inside.unsqueeze(1)

        def costs(part: Targets) -> tuple[Tensor, Tensor]:
            ious = iou_matrix(part.boxes, decoded)
            cost = class_cost(toward_1, toward_0, part.labels) - self.iou_weight * (ious + self.iou_floor).log()
            cost = cost + self.far * ~place(part)[0]
            return cost.where(candidates, torch.inf), ious.where(candidates, 0)

        gt_index, k = cheapest_pairs(costs, targets, len(points), self.topk)
        quality = iou_pairs(decoded, gather_targets(targets, gt_index)[0]) if self.soft else None
        return Assignment(gt_index.where(anchors.inside, IGNORED), quality, extras={"k": k})
