"""DDOD: ATSS with the score and the IoU of the predictions in the place of the anchors' IoU (Chen et al., MM 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from paa.assign.atss import adaptive
from paa.boxes import BoxCoder, iou_pairs
from paa.checks import Checked, checked, integer, number
from paa.structures import Anchors, Assignment, Predictions, Targets


@dataclass(eq=False)
class DDOD(Checked):
    """Positive: of the `topk` anchors of each level nearest to a GT those whose overlap reaches mean + deviation.

    The overlap is p^(1 - alpha) * IoU^alpha, p the score of the GT's class and IoU that of the predicted box. The rest
    is as in ATSS.

    coder  decodes the predicted deltas.
    alpha  0.8 in the class branch, 0.5 in the box branch of DDOD, which has an assignment for each.
    """

    coder: BoxCoder
    topk: int = checked(integer, 9, low=1)
    alpha: float = checked(number, 0.8, low=0, high=1)

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, predictions: Predictions, targets: Targets, progress: float = 0.0
    ) -> Assignment:
        """Assigns the anchors of a batch; progress does not matter. extras: see `atss.adaptive`."""
        decoded = self.coder.decode(predictions.deltas, anchors.boxes)
        classes = predictions.logits.shape[-1]

        def overlaps(index: Tensor, targets: Targets) -> Tensor:
            place = (index * classes + targets.labels.unsqueeze(-1)).flatten(1)
            score = predictions.logits.flatten(1).gather(1, place).float().sigmoid().view(index.shape)
            boxes = decoded.gather(1, index.flatten(1).unsqueeze(-1).expand(-1, -1, 4)).view(*index.shape, 4)
            iou = iou_pairs(boxes, targets.boxes.unsqueeze(2))
            return score.pow(1 - self.alpha) * iou.pow(self.alpha)

        return adaptive(anchors, targets, self.topk, overlaps)
