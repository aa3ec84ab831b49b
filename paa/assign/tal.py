"""TAL: task alignment learning, positives by score and IoU together (TOOD, Feng et al., ICCV 2021)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from paa.assign.atss import ATSS
from paa.assign.matching import gather_targets, non_empty
from paa.assign.pairs import best_gt, by_parts, lowest, margin, most_of_gt, of_labels
from paa.boxes import BoxCoder, centerness, centers, iou_matrix, iou_pairs
from paa.checks import Checked, checked, choice, integer, number
from paa.structures import IGNORED, Anchors, Assignment, Predictions, Targets


@dataclass(eq=False)
class TAL(Checked):
    """Positive: of the `topk` anchors of greatest p^alpha * IoU^beta with a GT those whose center lies in it.

    p is the score of the GT's class and IoU that of the predicted box. An anchor of several GTs goes to the one of
    highest IoU. Class target and factor of the box loss are the metric, scaled so that its maximum over the positives
    of a GT is their highest IoU.

    coder       decodes the predicted deltas.
    candidates  the best `topk` are chosen among "any" anchors (authors), or among those "inside" of the GT.
    warmup      until this progress of training positives are those of ATSS. Their class target is 1; with class factors
                `warmup_alpha` and 1 - warmup_alpha the quality focal loss is the focal loss. Their box loss is weighted
                by centerness.
    """

    coder: BoxCoder
    topk: int = checked(integer, 13, low=1)
    alpha: float = checked(number, 1.0, low=0)
    beta: float = checked(number, 6.0, low=0)
    candidates: str = checked(choice, "any", choices=("any", "inside"))
    warmup: float = checked(number, 1 / 3, low=0, high=1)
    warmup_topk: int = checked(integer, 9, low=1)
    warmup_alpha: float = checked(number, 0.25, low=0, high=1)

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, predictions: Predictions, targets: Targets, progress: float = 0.0
    ) -> Assignment:
        """Assigns the anchors of a batch. extras: candidates and candidate_valid [B, G, M]."""
        targets = non_empty(targets)
        if progress < self.warmup:
            return self._warm_up(anchors, predictions, targets)
        points = centers(anchors.boxes)
        decoded = self.coder.decode(predictions.deltas, anchors.boxes)
        score = predictions.logits.float().sigmoid()

        def best(part: Targets, first: int) -> tuple[Tensor, ...]:
            ious = iou_matrix(part.boxes, decoded)
            metric = of_labels(score, part.labels).pow(self.alpha) * ious.pow(self.beta)
            metric = metric.masked_fill(~anchors.inside.unsqueeze(1), 0)
            inside = margin(points, part.boxes) > 0.01
            if self.candidates == "inside":
                metric = metric.where(inside, 0)
            index = lowest(-metric, self.topk)
            candidate = (metric.gather(-1, index) > 0) & part.valid.unsqueeze(-1)
            return index, ious.gather(-1, index), candidate, candidate & inside.gather(-1, index)

        index, ious, candidate, chosen = by_parts(best, targets, len(points))
        gt_index = best_gt(index, ious, chosen, len(points))
        quality = self._aligned(gt_index, decoded, score, targets)
        gt_index = gt_index.where(anchors.inside, IGNORED)
        extras = {"candidates": index, "candidate_valid": candidate}
        return Assignment(gt_index, quality, box_weights=quality, extras=extras)

    def _aligned(self, gt_index: Tensor, decoded: Tensor, score: Tensor, targets: Targets) -> Tensor:
        """Class targets [B, A] of the positives."""
        boxes, labels = gather_targets(targets, gt_index)
        iou = iou_pairs(decoded, boxes)
        metric = score.gather(-1, labels.unsqueeze(-1)).squeeze(-1).pow(self.alpha) * iou.pow(self.beta)
        num_gts = targets.labels.shape[1]
        most_metric, most_iou = (most_of_gt(gt_index, values, num_gts) for values in (metric, iou))
        return metric / (most_metric + 1e-7) * most_iou

    def _warm_up(self, anchors: Anchors, predictions: Predictions, targets: Targets) -> Assignment:
        found = ATSS(self.warmup_topk)(anchors, predictions, targets)
        boxes, labels = gather_targets(targets, found.gt_index)
        own = F.one_hot(labels, predictions.logits.shape[-1]).bool() & found.positive.unsqueeze(-1)
        balance = torch.where(own, self.warmup_alpha, 1 - self.warmup_alpha)
        return replace(
            found,
            quality=found.positive.float(),
            box_weights=centerness(centers(anchors.boxes), boxes),
            class_weights=balance,
        )
