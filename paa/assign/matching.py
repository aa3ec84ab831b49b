"""Which ground truth an anchor overlaps most: the first step of Procedure 1 and the whole of the IoU baseline.

B images, A anchors over all levels, G ground truths of an image (padded).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from paa.boxes import iou_matrix
from paa.structures import Anchors, Targets

LOW_QUALITY = ("own", "claimed", "none")
"""What becomes of the anchors that tie a GT's best IoU: see `match`."""


@dataclass(frozen=True)
class Match:
    """Each anchor's GT by IoU.

    gt   [B, A] int64, the GT that the anchor overlaps most (ties: the lowest index), or the one that claimed it.
    iou  [B, A] float32, its IoU with the GT that it overlaps most; -1 outside of the image or with no GT at all.
    low  [B, A] bool, whether the anchor is a low-quality match.
    """

    gt: Tensor
    iou: Tensor
    low: Tensor


def non_empty(targets: Targets) -> Targets:
    """The same targets with at least one (invalid) row of padding, so that no reduction over GTs is over nothing."""
    if targets.boxes.shape[1] > 0:
        return targets
    pad = (0, 1)
    return Targets(F.pad(targets.boxes, (0, 0, *pad)), F.pad(targets.labels, pad), F.pad(targets.valid, pad))


def match(
    anchors: Anchors, targets: Targets, low_quality: str = "own", at_zero: bool = False, legacy: bool = False
) -> Match:
    """Matches every anchor of `anchors.inside` to the GT that it overlaps most.

    Low-quality matches are ALL anchors that tie a GT's best IoU. "own" leaves such an anchor to the GT that it
    overlaps most itself (authors' code, Matcher of maskrcnn-benchmark); "claimed" gives it to the GT that it is best
    for, the last of several (MMDetection max_iou_assigner.py); "none" knows none (paper). `at_zero` has a GT that no
    anchor overlaps tie with all of them, and so pull in every anchor (both codes).
    Targets must have at least one row (see `non_empty`).
    """
    overlaps = iou_matrix(targets.boxes, anchors.boxes, legacy)
    overlaps = overlaps.masked_fill_(~(targets.valid.unsqueeze(-1) & anchors.inside.unsqueeze(1)), -1.0)
    iou, gt = overlaps.max(dim=1)
    if low_quality == "none":
        return Match(gt, iou, torch.zeros_like(gt, dtype=torch.bool))
    best = overlaps.amax(dim=2, keepdim=True)
    counts = best >= 0 if at_zero else best > 0
    ties = overlaps == best.masked_fill(~counts, 2.0)  # no IoU is 2
    if low_quality == "own":
        return Match(gt, iou, ties.any(dim=1))
    number = torch.arange(1, best.shape[1] + 1, device=best.device).view(1, -1, 1)
    claimed = (ties * number).amax(dim=1) - 1
    return Match(torch.where(claimed >= 0, claimed, gt), iou, claimed >= 0)


def gather_targets(targets: Targets, gt: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes [B, A, 4] and labels [B, A] of the GTs of index gt [B, A]; a negative index reads GT 0."""
    gt = gt.clamp(min=0)
    return targets.boxes.gather(1, gt.unsqueeze(-1).expand(-1, -1, 4)), targets.labels.gather(1, gt)
