"""The auxiliary task of the head: none, centerness or IoU prediction (Table 2).

One object gives the task's training target, the weight that the target lends to a positive's localisation loss, and
the score by which detections rank at test time; so any of them goes with any assigner.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from paa import checks
from paa.boxes import centers, iou_pairs


class Auxiliary(ABC):
    """What the tasks share.

    has_head   whether the detector has an extra output per anchor.
    lambda_1   weight of the GIoU loss in training (section 4.1).
    lambda_2   weight of the auxiliary loss in training (section 4.1).
    """

    has_head = True

    def __init__(self, lambda_1: float, lambda_2: float) -> None:
        self.lambda_1 = checks.number("lambda_1", lambda_1, low=0)
        self.lambda_2 = checks.number("lambda_2", lambda_2, low=0)

    @abstractmethod
    def target(self, decoded: Tensor, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Training target [...] in [0, 1] of decoded boxes (detached), their GTs and their anchors, each [..., 4]."""

    def weight(self, target: Tensor) -> Tensor:
        """Weight [...] of the localisation loss of positives with these targets [...]."""
        return target

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
        points = centers(anchors)
        near, far = points - boxes[..., :2], boxes[..., 2:] - points
        ratio = torch.minimum(near, far).clamp(min=0) / torch.maximum(near, far).clamp(min=1e-6)
        return ratio.prod(-1).sqrt()
