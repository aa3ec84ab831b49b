"""Probabilistic anchor assignment: Procedure 1 of the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from paa.assign.candidates import all_of_each, best_per_level, to_gt_index
from paa.assign.matching import LOW_QUALITY, gather_targets, match, non_empty
from paa.boxes import BoxCoder, giou_loss
from paa.checks import Checked, OutOfRange, checked, choice, flag, integer, number
from paa.losses import focal_loss
from paa.structures import IGNORED, Anchors, Assignment, Predictions, Targets

SCOPES = ("candidates", "anchors")
"""What a boundary may ask to see of each ground truth."""


class Boundary(Protocol):
    """Separates the sorted candidates of each GT into positive, ignored and negative ones (see `paa.assign.boundary`).

    scope says which: "candidates" (the best of each level) or all "anchors" of the GT.
    """

    @property
    def scope(self) -> str:
        """Either "candidates" or "anchors"."""

    def __call__(self, scores: Tensor, valid: Tensor, progress: float = 0.0) -> Tensor:
        """Labels int8 [N, M]: 1 positive, 0 negative, -1 ignored, of scores [N, M] that ascend."""


@dataclass(eq=False)
class PAA(Checked):
    """Assigns by the probability that an anchor is positive for its GT, given how well it detects it now.

    boundary             separates a GT's candidates (Figure 3; `paa.assign.boundary`).
    coder                decodes the predicted deltas.
    lambda_score         weight of the localisation loss in the score (Eq. 3).
    topk                 K of section 3.1: candidates per GT and level.
    iou_floor            an anchor below this IoU with its GT is no candidate; at any floor it must overlap it.
    low_quality          "own", "claimed" or "none"; low_quality_at_zero: see `matching.match`.
    roundtrip            GTs pass encode and decode before the GIoU loss (authors' code).
    giou                 see `boxes.giou_loss`.
    legacy               inclusive-pixel IoU in the matching.
    alpha, gamma         of the focal loss in the score.
    """

    boundary: Boundary
    coder: BoxCoder
    lambda_score: float = checked(number, 1.0, low=0)
    topk: int = checked(integer, 9, low=1)
    iou_floor: float = checked(number, 0.1, low=0, high=1)
    low_quality: str = checked(choice, "own", choices=LOW_QUALITY)
    low_quality_at_zero: bool = checked(flag, False)
    roundtrip: bool = checked(flag, False)
    giou: str = checked(choice, "add", choices=("add", "max"))
    legacy: bool = checked(flag, False)
    alpha: float = checked(number, 0.25, low=0, high=1)
    gamma: float = checked(number, 2.0, low=0)

    def __post_init__(self) -> None:
        if not callable(self.boundary) or getattr(self.boundary, "scope", None) not in SCOPES:
            right = f"an object that can be called, with a `scope` of {' or '.join(SCOPES)} (see paa.assign.boundary)"
            raise OutOfRange("boundary", f"={self.boundary}: must be {right}")
        super().__post_init__()

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, predictions: Predictions, targets: Targets, progress: float = 0.0
    ) -> Assignment:
        """Assigns the anchors of a batch; `progress` in [0, 1] of training is for boundaries that change with it.

        extras: scores [B, A]; matched [B, A], the GT whose anchor it is, or -1; candidates [B, G, M] with
        candidate_scores, candidate_valid and candidate_labels.
        """
        targets = non_empty(targets)
        scores, matched = self.score(anchors, predictions, targets)
        num_gts = targets.boxes.shape[1]
        if self.boundary.scope == "anchors":
            found = all_of_each(scores, matched, num_gts)
        else:
            found = best_per_level(scores, matched, anchors.level, self.topk, num_gts, len(anchors.shapes))
        labels = self.boundary(found.scores.flatten(0, 1), found.valid.flatten(0, 1), progress).view_as(found.index)
        gt_index = to_gt_index(labels, found, scores.shape[1]).where(anchors.inside, IGNORED)
        extras = {
            "scores": scores,
            "matched": matched,
            "candidates": found.index,
            "candidate_scores": found.scores,
            "candidate_valid": found.valid,
            "candidate_labels": labels,
        }
        return Assignment(gt_index, extras=extras)

    @torch.no_grad()
    def score(self, anchors: Anchors, predictions: Predictions, targets: Targets) -> tuple[Tensor, Tensor]:
        """Scores [B, A] float32 and the GT that each anchor may become positive for [B, A] int64, -1 for none.

        The score is -log S = L_cls + lambda L_IoU of the anchor with its GT (Eq. 3): the focal loss summed over all
        classes, and the GIoU loss of the decoded box; smaller is better. That of an anchor of no GT means nothing.
        """
        targets = non_empty(targets)
        found = match(anchors, targets, self.low_quality, self.low_quality_at_zero, self.legacy)
        eligible = (found.iou >= self.iou_floor) & (found.iou > 0) | found.low
        boxes, labels = gather_targets(targets, found.gt)
        if self.roundtrip:
            boxes = self.coder.decode(self.coder.encode(boxes, anchors.boxes), anchors.boxes)
        decoded = self.coder.decode(predictions.deltas, anchors.boxes)
        classification = focal_loss(predictions.logits, labels, self.alpha, self.gamma).sum(-1)
        scores = classification + self.lambda_score * giou_loss(decoded, boxes, self.giou)
        return scores, found.gt.where(eligible, -1)
