"""OTA: assignment as optimal transport from ground truths and background to anchors (Ge et al., CVPR 2021)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from paa.assign import pairs
from paa.assign.matching import non_empty
from paa.assign.pairs import by_parts, center_margin, class_cost, dynamic_k, margin, per_anchor
from paa.boxes import BoxCoder, centers, iou_matrix
from paa.checks import Checked, checked, choice, integer, number
from paa.losses import focal_loss
from paa.structures import IGNORED, NEGATIVE, Anchors, Assignment, Predictions, Targets

DTYPES = {"float64": torch.float64, "float32": torch.float32}
_EPS = 1.1920928955078125e-07  # float32's, of the authors' IoU
_EMPTY = 1e-8  # added to supply and demand before the logarithm


@dataclass(eq=False)
class OTA(Checked):
    """Positive: anchors of which a GT's share of its own largest amount exceeds that of any other and the background's.

    A GT supplies as much as its `topk` largest IoUs sum to, the background the rest; each anchor takes 1. The cost is
    the focal loss + iou_weight * -ln IoU, 10^6 more for a pair whose anchor is not in the GT and within `radius`
    strides of its center. A GT of which no anchor is still supplies 1, to its cheapest.

    coder         decodes the predicted deltas.
    regularization, iterations  of Sinkhorn's algorithm, in log space.
    dtype         arithmetic of the costs and of the plan, "float64" or "float32".
    alpha, gamma  of the focal loss in the cost.
    """

    coder: BoxCoder
    topk: int = checked(integer, 20, low=1)
    radius: float = checked(number, 2.5, above=0)
    iou_weight: float = checked(number, 1.5, low=0)
    regularization: float = checked(number, 0.1, above=0)
    iterations: int = checked(integer, 50, low=1)
    dtype: str = checked(choice, "float64", choices=tuple(DTYPES))
    alpha: float = checked(number, 0.25, low=0, high=1)
    gamma: float = checked(number, 2.0, low=0)

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, predictions: Predictions, targets: Targets, progress: float = 0.0
    ) -> Assignment:
        """Assigns the anchors of a batch; progress does not matter. extras: k [B, G], what each GT supplies."""
        targets = non_empty(targets)
        cost, k = self._costs(anchors, predictions, targets)
        size = max(1, pairs.PAIRS // cost[0].numel())  # images that are transported together
        rows = zip(cost.split(size), k.split(size), targets.valid.split(size), anchors.inside.split(size), strict=True)
        row = torch.cat([self._transport(*images).argmax(1) for images in rows])
        gt_index = row.where(row < targets.labels.shape[1], NEGATIVE)
        return Assignment(gt_index.where(anchors.inside, IGNORED), extras={"k": k})

    def _costs(self, anchors: Anchors, predictions: Predictions, targets: Targets) -> tuple[Tensor, Tensor]:
        """Costs [B, G + 1, A] of the GTs and of the background, infinite in the padding, and the supplies k [B, G]."""
        points, reach = centers(anchors.boxes), self.radius * per_anchor(anchors, anchors.strides)
        decoded = self.coder.decode(predictions.deltas, anchors.boxes)
        none = torch.full(predictions.logits.shape[:2], -1, device=points.device)
        toward_0 = focal_loss(predictions.logits, none, self.alpha, self.gamma)
        toward_1 = focal_loss(-predictions.logits, none, 1 - self.alpha, self.gamma)
        inside = anchors.inside.unsqueeze(1)

        def of_part(part: Targets, first: int) -> tuple[Tensor, Tensor]:
            ious = iou_matrix(part.boxes, decoded)
            near = (margin(points, part.boxes) > 0.01) & (center_margin(points, part.boxes, reach) > 0)
            near &= inside & part.valid.unsqueeze(-1)
            cost = class_cost(toward_1, toward_0, part.labels) - self.iou_weight * ious.clamp(min=_EPS).log()
            cost = cost.to(DTYPES[self.dtype]) + 1e6 * ~near
            return cost.masked_fill(~part.valid.unsqueeze(-1), torch.inf), dynamic_k(ious.where(near, 0), self.topk)

        cost, k = by_parts(of_part, targets, len(points))
        background = toward_0.sum(-1).unsqueeze(1).to(cost.dtype)
        return torch.cat((cost, background), 1).where(inside, torch.inf), k * targets.valid

    def _transport(self, cost: Tensor, k: Tensor, valid: Tensor, inside: Tensor) -> Tensor:
        """Logarithm of the transport plan [B, G + 1, A], each row divided by its maximum; -inf in the padding."""
        cost = cost / self.regularization
        supply = torch.cat((k, (inside.sum(1, keepdim=True) - k.sum(1, keepdim=True)).clamp(min=0)), 1).to(cost.dtype)
        log_supply = (supply + _EMPTY).log().unsqueeze(2)
        some = F.pad(valid, (0, 1), value=True).unsqueeze(2)
        taken = inside.unsqueeze(1)
        u, v = torch.full_like(log_supply, 1 / self.regularization), torch.zeros_like(cost[:, :1])
        for _ in range(self.iterations):
            v = (math.log1p(_EMPTY) - _log_sum_exp(u - cost, 1)).where(taken, 0)
            u = (log_supply - _log_sum_exp(v - cost, 2)).where(some, 0)
        log_plan = u + v - cost
        return (log_plan - log_plan.amax(2, keepdim=True)).where(some & taken, -torch.inf)


def _log_sum_exp(values: Tensor, dim: int) -> Tensor:
    """Log of the sum of exponentials along dim, kept as 1; it changes `values`. Meaningless where all are -inf.

    What is e^-100 of the largest adds nothing in either precision: the bound keeps exp away from underflow, where it
    is five times slower.
    """
    most = values.amax(dim, keepdim=True)
    return values.sub_(most).clamp_(min=-100).exp_().sum(dim, keepdim=True).log_().add_(most)
