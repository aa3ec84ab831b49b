"""The auxiliary task of the head: none, centerness or IoU prediction (Table 2).

One object gives the task's training target, the weight that the target lends to a positive's localisation loss, and
the score by which detections rank at test time; so any of them goes with any assigner.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from paa import checks
from paa.boxes import centerness, centers, iou_pairs
from paa.losses import quality_loss


class Auxiliary(ABC):
    """What the tasks share.

    has_head   whether the detector has an extra output per anchor.
    predicts_iou  whether that output is an IoU.
    on_negatives  whether negatives train the head as well; then the task has a `negative_loss`.
    lambda_1   weight of the GIoU loss in training (section 4.1).
    lambda_2   weight of the auxiliary loss in training (section 4.1).
    """

    has_head = True
    predicts_iou = False
    on_negatives = False

    def __init__(self, lambda_1: float, lambda_2: float) -> None:
        self.lambda_1 = checks.number("lambda_1", lambda_1, low=0)
        self.lambda_2 = checks.number("lambda_2", lambda_2, low=0)

    @abstractmethod
    def target(self, decoded: Tensor, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Training target [...] in [0, 1] of decoded boxes (detached), their GTs and their anchors, each [..., 4]."""

    def weight(self, target: Tensor) -> Tensor:
        """Weight [...] of the localisation loss of positives with these targets [...]."""
        return target

    def loss(self, logit: Tensor, target: Tensor) -> Tensor:
        """Loss [...] of the head's logits [...] of positives with these targets [...]."""
        return quality_loss(logit, target)

    def negative_loss(self, logit: Tensor, best_iou: Tensor) -> Tensor:
        """Loss [...] of negatives; best_iou [...] is the highest IoU of the decoded box with any GT."""
        return torch.zeros_like(best_iou)

    def score(self, class_prob: Tensor, logit: Tensor | None, unified: str = "sqrt") -> Tensor:
        """Unified score [..., C] of class probabilities [..., C] and the head's logit [...] (paper, section 3.2).

        Class probability x sigmoid(logit): "product" (paper), or the root of it: "sqrt" (authors' code, MMDetection).
        The order is the same, the weights of score voting are not. Without a head: the class probability itself.
        """
        checks.choice("unified", unified, ("sqrt", "product"))
        if not self.has_head:
            return class_prob
        if logit is None:
            raise ValueError(
                f"{type(self).__name__} scores by the detector's auxiliary logit, and the detector has none"
            )
        product = class_prob * logit.sigmoid().unsqueeze(-1)
        return product.sqrt() if unified == "sqrt" else product


class NoAuxiliary(Auxiliary):
    """No extra head; every positive's localisation loss counts the same. lambda_1 2.0 suits the IoU baseline."""

    has_head = False

    def __init__(self, lambda_1: float = 1.3) -> None:
        super().__init__(lambda_1, 0.0)

    def target(self, decoded: Tensor, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Ones [...]: the weight of every positive."""
        return torch.ones_like(decoded[..., 0])


class IoUPrediction(Auxiliary):
    """Predicts the IoU of the decoded box with its GT (paper, section 3.2). legacy: inclusive-pixel IoU."""

    predicts_iou = True

    def __init__(self, lambda_1: float = 1.3, lambda_2: float = 0.5, legacy: bool = False) -> None:
        super().__init__(lambda_1, lambda_2)
        self.legacy = checks.flag("legacy", legacy)

    def target(self, decoded: Tensor, boxes: Tensor, anchors: Tensor) -> Tensor:
        """IoU [...] of decoded boxes [..., 4] with their GTs [..., 4]."""
        return iou_pairs(decoded, boxes, self.legacy)


class Centerness(Auxiliary):
    """Predicts how central the anchor's center lies in its GT (FCOS; on anchors and with these lambdas: ATSS)."""

    def __init__(self, lambda_1: float = 2.0, lambda_2: float = 1.0) -> None:
        super().__init__(lambda_1, lambda_2)

    def target(self, decoded: Tensor, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Centerness [...] of the centers of anchors [..., 4] in GTs [..., 4]; 0 on the edge and outside."""
        return centerness(centers(anchors), boxes)


class Objectness(Auxiliary):
    """Predicts the IoU of the decoded box with its GT on all anchors, which is 0 for negatives (YOLOv2).

    ignore_iou       a negative whose box has a higher IoU with any GT trains nothing.
    positive_weight, negative_weight  of the losses.
    loss             "squared", of the probability, halved as in the authors' gradients, or "bce".
    """

    predicts_iou = True
    on_negatives = True

    def __init__(
        self,
        lambda_1: float = 1.3,
        lambda_2: float = 0.5,
        ignore_iou: float = 0.6,
        positive_weight: float = 5.0,
        negative_weight: float = 1.0,
        loss: str = "squared",
    ) -> None:
        super().__init__(lambda_1, lambda_2)
        self.ignore_iou = checks.number("ignore_iou", ignore_iou, low=0, high=1)
        self.positive_weight = checks.number("positive_weight", positive_weight, low=0)
        self.negative_weight = checks.number("negative_weight", negative_weight, low=0)
        self.form = checks.choice("loss", loss, ("squared", "bce"))

    def target(self, decoded: Tensor, boxes: Tensor, anchors: Tensor) -> Tensor:
        """IoU [...] of decoded boxes [..., 4] with their GTs [..., 4]."""
        return iou_pairs(decoded, boxes)

    def weight(self, target: Tensor) -> Tensor:
        """Ones [...]: every positive's localisation loss counts the same."""
        return torch.ones_like(target)

    def loss(self, logit: Tensor, target: Tensor) -> Tensor:
        """Losses [...] of positives."""
        return self.positive_weight * self._element(logit, target)

    def negative_loss(self, logit: Tensor, best_iou: Tensor) -> Tensor:
        """Losses [...] of negatives, whose boxes have at most these IoUs [...] with any GT."""
        loss = self.negative_weight * self._element(logit, torch.zeros_like(best_iou))
        return loss.where(best_iou <= self.ignore_iou, 0)

    def _element(self, logit: Tensor, target: Tensor) -> Tensor:
        if self.form == "bce":
            return quality_loss(logit, target)
        return (logit.float().sigmoid() - target).square() / 2
