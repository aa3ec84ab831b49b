"""The training loss of an assignment: L = L_cls + lambda_1 L_IoU + lambda_2 L_IoUP (paper, section 4.1).

B images, A anchors, C classes. The sums run over whole [B, A] grids under masks, so that nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from paa.assign.matching import gather_targets, non_empty
from paa.assign.pairs import best_iou
from paa.auxiliary import Auxiliary
from paa.boxes import BoxCoder, giou_loss, iou_pairs
from paa.checks import Checked, checked, choice, flag, number
from paa.losses import carl_weights, focal_loss, matchability_loss, quality_focal_loss, varifocal_loss
from paa.structures import IGNORED, NEGATIVE, Anchors, Assignment, Predictions, Targets

NORMALIZERS = ("modern", "official", "mmdet", "mmdet_atss", "quality", "quality_sum")
CLASS_LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "qfl": quality_focal_loss,
    "vfl": varifocal_loss,
    "mal": matchability_loss,
}
"""{class_loss: it}, of those with a soft target; "focal" has a hard one."""
ZERO_WEIGHTS = ("keep", "unweighted", "floor")

_FLOOR = 1e-12  # of MMDetection's weights, paa_head.py


@dataclass(frozen=True)
class _Matched:
    """What the positives of a batch [B, A] train on; labels are -1 where not positive, the rest means nothing there.

    weight: of the localisation loss. quality: the class target, None with a hard one.
    """

    positive: Tensor
    labels: Tensor
    boxes: Tensor
    decoded: Tensor
    target: Tensor
    weight: Tensor
    quality: Tensor | None


@dataclass(eq=False)
class Criterion(Checked):
    """Loss parts of a batch, normalized over a whole optimizer step.

    coder        decodes the predicted deltas.
    auxiliary    the auxiliary task: its target, the weights of the localisation loss, lambda_1 and lambda_2.
    class_loss   "focal": its target is 1 for the class of a positive; "qfl", "vfl", "mal" (see `paa.losses`): it is the
                 assigner's quality, or else the IoU of the predicted box.
    carl         weight of a second box loss, in which positives count by their score: see `losses.carl_weights`. Its
                 weights have the mean 1 in each part of a batch, and its divisor is that of L_cls.
    alpha, gamma of the focal loss.
    giou         see `boxes.giou_loss`.
    roundtrip    GTs pass encode and decode before the GIoU loss and the auxiliary target (authors' code).
    normalizer   of the three sums; P positives, W the sum of the localisation weights, N images, Q the
                 sum of the positives' class targets (P with the focal loss):
                 "modern"    L_cls, L_IoUP by max(P, 1); L_IoU by max(W, 1).
                 "official"  the same, but L_IoU by W without a floor. Without a head L_IoU by max(P, 1).
                 "mmdet"     L_cls by max(P, N), L_IoUP by P, L_IoU by W (MMDetection's PAAHead).
                 "mmdet_atss" as "modern", but an image without a positive adds 1 to P (MMDetection's ATSSHead).
                 "quality"   L_cls by max(Q, 1), L_IoU by max(W, 1), L_IoUP by max(P, 1) (MMDetection: TOOD, RTMDet).
                 "quality_sum" the same without floors: Q and W (TOOD's authors).
                 What would be divided by 0 is divided by max(P, 1).
    floor        in the place of the 1 in max(P, 1) and max(W, 1). The other codes take the floor on P and W averaged
                 over processes: 8 here, on the whole step, is theirs on 8 GPUs.
    epsilon      added to each of the three: 1.1920929e-07, float32's, in MMDetection (`weight_reduce_loss`), else 0.
    zero_weights where W is 0: "keep" the weights, so that L_IoU is 0; "unweighted" (authors' code): its elements count
                 1 and their sum is divided by max(P, 1) (there by 0); "floor" (MMDetection): every weight is at least
                 1e-12, at any W.
    normalizer_sync  "global": P, W and N are of all processes together; "per_process": each process has its own.
                 The caller acts on it, by what it passes as `statistics`.
    """

    coder: BoxCoder
    auxiliary: Auxiliary
    alpha: float = checked(number, 0.25, low=0, high=1)
    gamma: float = checked(number, 2.0, low=0)
    giou: str = checked(choice, "add", choices=("add", "max"))
    roundtrip: bool = checked(flag, False)
    normalizer: str = checked(choice, "modern", choices=NORMALIZERS)
    normalizer_sync: str = checked(choice, "global", choices=("global", "per_process"))
    zero_weights: str = checked(choice, "keep", choices=ZERO_WEIGHTS)
    epsilon: float = checked(number, 0.0, low=0, high=1)
    floor: float = checked(number, 1, low=1)
    class_loss: str = checked(choice, "focal", choices=("focal", *CLASS_LOSSES))
    carl: float = checked(number, 0.0, low=0)

    @torch.no_grad()
    def statistics(
        self, predictions: Predictions, anchors: Anchors, targets: Targets, assignment: Assignment
    ) -> Tensor:
        """Statistics [4] float32: positives (as the normalizer counts them), sum of the localisation weights, images,
        sum of the class targets.

        Summed over an optimizer step they normalize it. The sum is the caller's: over the micro-batches of gradient
        accumulation, and over processes (`normalizer_sync`).
        """
        return self._count(self._match(predictions, anchors, targets, assignment))

    def __call__(
        self,
        predictions: Predictions,
        anchors: Anchors,
        targets: Targets,
        assignment: Assignment,
        statistics: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Loss parts "cls", "box" and, with a head, "aux": scalars with lambda_1 and lambda_2 in, to be added.

        statistics  of the whole step (see `statistics`); None: of this batch. Floors of the normalizers act on these,
                    and so on the whole step, however many processes share it.
        """
        found = self._match(predictions, anchors, targets, assignment)
        counts = self._count(found) if statistics is None else statistics
        by_class, by_box, by_aux = self._normalizers(counts)

        classification = self._class_loss(predictions.logits, found)
        if assignment.class_weights is not None:
            weights = assignment.class_weights
            classification = classification * (weights if weights.dim() == 3 else weights.unsqueeze(-1))
        trained = assignment.gt_index != IGNORED
        losses = {"cls": _masked_sum(classification.sum(-1), trained) / by_class}

        localisation = giou_loss(found.decoded, found.boxes, self.giou) * self._box_weights(found.weight, counts)
        losses["box"] = self.auxiliary.lambda_1 * _masked_sum(localisation, found.positive) / by_box
        if self.carl:
            losses["box"] = losses["box"] + self.carl * self._carl(predictions.logits, found) / by_class

        if self.auxiliary.has_head:
            if predictions.auxiliary is None:
                raise ValueError(
                    f"{type(self.auxiliary).__name__} trains the detector's auxiliary logit, and it has none"
                )
            quality = _masked_sum(self.auxiliary.loss(predictions.auxiliary, found.target), found.positive)
            if self.auxiliary.on_negatives:
                loss = self.auxiliary.negative_loss(predictions.auxiliary, best_iou(found.decoded.detach(), targets))
                quality = quality + _masked_sum(loss, assignment.gt_index == NEGATIVE)
            losses["aux"] = self.auxiliary.lambda_2 * quality / by_aux
        return losses

    def _match(self, predictions: Predictions, anchors: Anchors, targets: Targets, assignment: Assignment) -> _Matched:
        positive = assignment.positive
        boxes, labels = gather_targets(non_empty(targets), assignment.gt_index)
        if self.roundtrip:
            boxes = self.coder.decode(self.coder.encode(boxes, anchors.boxes), anchors.boxes)
        decoded = self.coder.decode(predictions.deltas, anchors.boxes)
        target = self.auxiliary.target(decoded.detach(), boxes, anchors.boxes)
        weight = self.auxiliary.weight(target)
        if assignment.box_weights is not None:
            weight = weight * assignment.box_weights
        quality = assignment.quality
        if self.class_loss == "focal":
            quality = None
        elif quality is None:
            quality = iou_pairs(decoded.detach(), boxes)
        return _Matched(positive, labels.where(positive, -1), boxes, decoded, target, weight, quality)

    def _carl(self, logits: Tensor, found: _Matched) -> Tensor:
        """Sum of the box losses of the positives, weighted by their scores."""
        scores = logits.float().sigmoid().gather(-1, found.labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        loss = giou_loss(found.decoded, found.boxes, self.giou) * carl_weights(scores, found.positive)
        return _masked_sum(loss, found.positive)

    def _class_loss(self, logits: Tensor, found: _Matched) -> Tensor:
        """Element losses [B, A, C]."""
        if found.quality is None:
            return focal_loss(logits, found.labels, self.alpha, self.gamma)
        return CLASS_LOSSES[self.class_loss](logits, found.labels, found.quality)

    def _count(self, found: _Matched) -> Tensor:
        positive = found.positive
        weight = found.weight.where(positive, 0).sum()
        images = torch.full_like(weight, len(positive))
        of_image = positive.sum(1)
        if self.normalizer == "mmdet_atss":
            of_image = of_image.clamp(min=1)
        targets = positive if found.quality is None else found.quality.where(positive, 0)
        return torch.stack((of_image.sum().to(weight.dtype), weight, images, targets.sum().to(weight.dtype)))

    def _normalizers(self, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Divisors of the class, box and auxiliary sums, from the statistics of the step."""
        positives, weight, images, quality = counts.unbind()
        floored = positives.clamp(min=self.floor)
        if self.normalizer == "mmdet":
            by_class, by_box, by_aux = torch.maximum(positives, images), weight, positives
        elif self.normalizer == "official" and self.auxiliary.has_head:
            by_class, by_box, by_aux = floored, weight, floored
        elif self.normalizer == "quality":
            by_class, by_box, by_aux = quality.clamp(min=self.floor), weight.clamp(min=self.floor), floored
        elif self.normalizer == "quality_sum":
            by_class, by_box, by_aux = torch.where(quality > 0, quality, floored), weight, floored
        else:
            by_class, by_box, by_aux = floored, weight.clamp(min=self.floor), floored
        if self.epsilon:
            by_class, by_box, by_aux = by_class + self.epsilon, by_box + self.epsilon, by_aux + self.epsilon
        by_box, by_aux = torch.where(by_box > 0, by_box, floored), torch.where(by_aux > 0, by_aux, floored)
        if self.zero_weights == "unweighted":
            by_box = torch.where(weight > 0, by_box, floored)
        return by_class, by_box, by_aux

    def _box_weights(self, weight: Tensor, counts: Tensor) -> Tensor:
        """Weights [B, A] of the localisation loss; `counts` tell whether those of the whole step sum to 0."""
        if self.zero_weights == "floor":
            return weight.clamp(min=_FLOOR)
        if self.zero_weights == "unweighted":
            return torch.where(counts[1] > 0, weight, torch.ones_like(weight))
        return weight


def _masked_sum(losses: Tensor, mask: Tensor) -> Tensor:
    """Sum of element losses [B, A] under a mask."""
    return losses.where(mask, 0).sum()
