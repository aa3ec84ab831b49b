"""FSAF: each ground truth chooses the level that detects it best (Zhu et al., CVPR 2019), as MMDetection has it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from paa.assign.matching import gather_targets, non_empty
from paa.assign.pairs import by_parts, least, least_of_parts, margin, per_anchor
from paa.boxes import BoxCoder, centers, giou_loss, iou_pairs, sides
from paa.checks import Checked, checked, choice, flag, number
from paa.losses import focal_loss
from paa.structures import IGNORED, NEGATIVE, Anchors, Assignment, Predictions, Targets

_UNIT = 2.0**32  # losses are summed as integers of this fraction: then no order of the sum changes it


@dataclass(eq=False)
class FSAF(Checked):
    """Positive: anchors whose cell overlaps the core of a GT that holds their center, on the GT's level of least loss.

    An anchor in several cores goes to the smallest GT (ties: the lowest); the classes of the others, and of a GT whose
    shadow it overlaps without being in the core, are excluded from its class loss. On the levels that a GT did not
    choose the class of its positives is excluded there. The loss of a level is the mean focal and box loss of the GT's
    positives there.

    coder            decodes the predicted deltas.
    core, shadow     sides of both regions as a part of the GT's.
    overlap          least part of a cell that must lie in a region.
    keep_of_a_class  an anchor of whose class another GT claims an exclusion stays positive; otherwise it is background.
    box              box loss by which levels are chosen, "giou" (1 - GIoU) or "iou" (-ln IoU).
    alpha, gamma     of the focal loss.
    """

    coder: BoxCoder
    core: float = checked(number, 0.2, above=0, high=1)
    shadow: float = checked(number, 0.2, above=0, high=1)
    overlap: float = checked(number, 0.01, low=0, below=1)
    keep_of_a_class: bool = checked(flag, False)
    box: str = checked(choice, "giou", choices=("giou", "iou"))
    alpha: float = checked(number, 0.25, low=0, high=1)
    gamma: float = checked(number, 2.0, low=0)

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, predictions: Predictions, targets: Targets, progress: float = 0.0
    ) -> Assignment:
        """Assigns the anchors of a batch; progress does not matter. extras: level [B, G], chosen, or -1."""
        targets = non_empty(targets)
        gt_index, excluded = self._regions(anchors, targets, predictions.logits.shape[-1])
        boxes, labels = gather_targets(targets, gt_index)
        own = (labels.unsqueeze(-1) == torch.arange(excluded.shape[-1], device=labels.device)) & (
            gt_index >= 0
        ).unsqueeze(-1)
        if self.keep_of_a_class:
            excluded = excluded & ~own
        gt_index = gt_index.where(~(own & excluded).any(-1), NEGATIVE).where(anchors.inside, NEGATIVE)
        own = own & (gt_index >= 0).unsqueeze(-1)

        loss = focal_loss(predictions.logits, labels.where(gt_index >= 0, -1), self.alpha, self.gamma)
        decoded = self.coder.decode(predictions.deltas, anchors.boxes)
        of_box = giou_loss(decoded, boxes) if self.box == "giou" else -iou_pairs(decoded, boxes).clamp(min=1e-6).log()
        level = self._level(loss.where(~excluded, 0).sum(-1) + of_box, gt_index, anchors, targets)
        kept = level.gather(1, gt_index.clamp(min=0)) == anchors.level
        excluded = excluded | own & ~kept.unsqueeze(-1)
        gt_index = gt_index.where(kept, NEGATIVE).where(anchors.inside, IGNORED)
        return Assignment(gt_index, class_weights=(~excluded).float(), extras={"level": level})

    def _regions(self, anchors: Anchors, targets: Targets, classes: int) -> tuple[Tensor, Tensor]:
        """GT [B, A] in whose core an anchor lies, or NEGATIVE, and its excluded classes [B, A, C] bool."""
        points = centers(anchors.boxes)
        half = per_anchor(anchors, anchors.strides).unsqueeze(1) / 2
        cells = torch.cat((points - half, points + half), 1)

        def in_core(part: Targets) -> Tensor:
            covered = _covered(cells, part.boxes, self.core) > self.overlap
            return covered & (margin(points, part.boxes) > 0) & part.valid.unsqueeze(-1)

        def smallest(part: Targets, first: int) -> tuple[Tensor, ...]:
            return least(sides(part.boxes).prod(-1, keepdim=True).where(in_core(part), torch.inf), first)

        area, gt = least_of_parts(*by_parts(smallest, targets, len(points)))
        gt_index = gt.where(area < torch.inf, NEGATIVE)

        def losers(part: Targets, first: int) -> tuple[Tensor]:
            shadow = (_covered(cells, part.boxes, self.shadow) > self.overlap) & part.valid.unsqueeze(-1)
            number = torch.arange(first, first + part.labels.shape[1], device=gt.device).view(1, -1, 1)
            lost = (in_core(part) | shadow) & (gt_index.unsqueeze(1) != number)
            found = torch.zeros(len(lost), classes, len(points), dtype=torch.int8, device=gt.device)
            found.scatter_reduce_(1, part.labels.unsqueeze(-1).expand(lost.shape), lost.to(torch.int8), "amax")
            return (found.mT.unsqueeze(1),)

        (excluded,) = by_parts(losers, targets, len(points))
        return gt_index, excluded.amax(1).bool()

    def _level(self, loss: Tensor, gt_index: Tensor, anchors: Anchors, targets: Targets) -> Tensor:
        """Level [B, G] on which the mean loss [B, A] of a GT's positives is least, ties: the finest; -1 without any."""
        batch, num_gts = targets.labels.shape
        levels = len(anchors.shapes)
        place = (gt_index * levels + anchors.level).where(gt_index >= 0, num_gts * levels)
        total, count = (
            torch.zeros(batch, num_gts * levels + 1, dtype=torch.int64, device=loss.device) for _ in range(2)
        )
        total.scatter_add_(1, place, (loss.double() * _UNIT).round().long())
        count.scatter_add_(1, place, torch.ones_like(place))
        mean = (total / count.clamp(min=1)).masked_fill(count == 0, torch.inf)[:, :-1].view(batch, num_gts, levels)
        least_loss, level = mean.min(-1)
        return level.where(least_loss < torch.inf, -1)


def _covered(cells: Tensor, boxes: Tensor, scale: float) -> Tensor:
    """Part [B, g, A] of cells [A, 4] that lies in boxes [B, g, 4] whose sides are scaled."""
    middle, half = centers(boxes), sides(boxes) * 0.5 * scale
    low, high = (middle - half).unsqueeze(2), (middle + half).unsqueeze(2)
    overlap = (torch.minimum(high, cells[:, 2:]) - torch.maximum(low, cells[:, :2])).clamp_(min=0).prod(-1)
    return overlap / sides(cells).prod(-1)
