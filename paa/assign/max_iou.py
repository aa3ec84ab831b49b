"""Assignment by IoU thresholds: the baseline of Table 2 (RetinaNet's rule, on one anchor per location)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from paa.assign.matching import LOW_QUALITY, gather_targets, match, non_empty
from paa.boxes import center_inside, centers
from paa.checks import Checked, checked, choice, flag, number
from paa.structures import IGNORED, NEGATIVE, Anchors, Assignment, Predictions, Targets


@dataclass(eq=False)
class MaxIoU(Checked):
    """Positive at positive_iou or more, negative below negative_iou, ignored between.

    low_quality    "own", "claimed" or "none"; low_quality_at_zero: see `matching.match`. Such a match is positive.
    center_inside  a positive whose center is not more than 0.01 pixels inside of its GT is ignored instead
                   (the authors' code, for training with centerness).
    legacy         inclusive-pixel IoU.
    """

    positive_iou: float = checked(number, 0.5, above=0, high=1)
    negative_iou: float = 0.4
    low_quality: str = checked(choice, "own", choices=LOW_QUALITY)
    low_quality_at_zero: bool = checked(flag, False)
    center_inside: bool = checked(flag, False)
    legacy: bool = checked(flag, False)

    def __post_init__(self) -> None:
        super().__post_init__()
        number("negative_iou", self.negative_iou, low=0, high=self.positive_iou)

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, predictions: Predictions, targets: Targets, progress: float = 0.0
    ) -> Assignment:
        """Assigns the anchors of a batch; neither predictions nor progress matter. extras: iou [B, A], the best one."""
        targets = non_empty(targets)
        found = match(anchors, targets, self.low_quality, self.low_quality_at_zero, self.legacy)
        positive = (found.iou >= self.positive_iou) | found.low
        between = found.iou >= self.negative_iou
        if self.center_inside:
            boxes, _ = gather_targets(targets, found.gt)
            far = positive & ~center_inside(centers(anchors.boxes), boxes)
            positive, between = positive & ~far, between | far
        gt_index = torch.where(positive, found.gt, torch.where(between, IGNORED, NEGATIVE))
        return Assignment(gt_index.where(anchors.inside, IGNORED), extras={"iou": found.iou})
