"""PISA: of a hard assignment's positives those with good boxes count more (Cao et al., CVPR 2020), part ISR-P."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from paa.assign.candidates import order_key
from paa.assign.matching import gather_targets, non_empty
from paa.assign.max_iou import MaxIoU
from paa.boxes import BoxCoder, iou_pairs
from paa.checks import Checked, checked, flag, number
from paa.losses import focal_loss
from paa.structures import Anchors, Assignment, Predictions, Targets


@dataclass(eq=False)
class PISA(Checked):
    """Weighs the class loss of positives by importance-based sample reweighting; `base` makes the assignment.

    Positives of a class, of the whole batch, are ranked by the rank of their IoU within their GT, then by their IoU;
    rank r of n has the weight (bias + (1 - bias)(n - r) / n)^k, n being the count of the most frequent class. Weights
    are scaled so that they leave the sum of the positives' focal losses as it is. Ties: the lowest anchor.

    base          an assigner, MaxIoU in the paper.
    coder         decodes the predicted deltas.
    merge         GTs of different images count as one where MMDetection confuses them: its numbers are the image's own
                  plus the greatest of the image before plus 1, which are not cumulative.
    alpha, gamma  of the focal loss.
    """

    base: MaxIoU
    coder: BoxCoder
    k: float = checked(number, 2.0, low=0)
    bias: float = checked(number, 0.0, low=0, high=1)
    merge: bool = checked(flag, False)
    alpha: float = checked(number, 0.25, low=0, high=1)
    gamma: float = checked(number, 2.0, low=0)

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, predictions: Predictions, targets: Targets, progress: float = 0.0
    ) -> Assignment:
        """Assigns the anchors of a batch. extras: those of `base`."""
        found = self.base(anchors, predictions, targets, progress)
        boxes, labels = gather_targets(non_empty(targets), found.gt_index)
        iou = iou_pairs(self.coder.decode(predictions.deltas, anchors.boxes), boxes)
        labels = labels.where(found.positive, -1)
        weight = self.importance(iou, labels, self._gt_numbers(found.gt_index), predictions.logits.shape[-1])
        loss = focal_loss(predictions.logits, labels, self.alpha, self.gamma).sum(-1).where(found.positive, 0).double()
        scale = (loss.sum() / (loss * weight).sum()).nan_to_num(1.0).to(weight.dtype)
        return replace(found, class_weights=(scale * weight).where(found.positive, 1))

    def importance(self, iou: Tensor, labels: Tensor, gts: Tensor, classes: int) -> Tensor:
        """Weights [B, A], not yet scaled, of positives with these IoUs, labels (-1: not positive) and GT numbers."""
        positive, own = labels.flatten() >= 0, labels.flatten()
        best_first = order_key(-iou.flatten()) + 2**31  # from 0 to 2^32
        own = own.where(positive, classes)
        of_class = own * (gts.max() + 1) + gts.flatten().clamp(min=0)
        within_gt = _rank(of_class, best_first, 2**32)
        rank = _rank(own, within_gt * 2**32 + best_first, own.numel() * 2**32)
        count = torch.zeros(classes + 1, dtype=torch.int64, device=own.device)
        most = count.scatter_add_(0, own, positive.long()).max().clamp(min=1)
        weight = (most - rank).to(iou.dtype) / most
        return (self.bias + weight * (1 - self.bias)).pow(self.k).view_as(iou)

    def _gt_numbers(self, gt_index: Tensor) -> Tensor:
        """Numbers [B, A] of the GTs of positives; different for GTs of different images, unless merge."""
        batch, num_anchors = gt_index.shape
        if not self.merge:
            return gt_index + num_anchors * torch.arange(batch, device=gt_index.device).unsqueeze(1)
        offset, numbers = torch.zeros_like(gt_index[0, 0]), []
        for image in gt_index:
            numbers.append(image + offset)
            offset = torch.where((image >= 0).any(), image.max() + 1, offset)
        return torch.stack(numbers)


def _rank(group: Tensor, key: Tensor, span: int) -> Tensor:
    """Rank [N] from 0 of each key in its group, ascending, the earlier of equals first; keys from 0 below `span`."""
    order = (group * span + key).argsort(stable=True)
    ascending = group[order]
    place = torch.arange(len(order), device=order.device) - torch.searchsorted(ascending, ascending)
    return torch.empty_like(order).index_put_((order,), place)
