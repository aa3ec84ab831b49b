"""Score voting: each detection is refined by the boxes that NMS dropped for it (paper, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from paa import checks
from paa.boxes import iou_matrix

WEIGHTS = ("ps", "p")

_LARGEST = 2**23
"""Pairs of (detection, candidate) compared in one step: some 64 MB a temporary in float64."""


def score_voting(
    boxes: Tensor,
    labels: Tensor,
    candidates: Tensor,
    candidate_labels: Tensor,
    candidate_scores: Tensor,
    *,
    sigma_t: float = 0.025,
    voting_iou: float = 0.01,
    voting_weight: str = "ps",
    legacy: bool = False,
    largest: int = _LARGEST,
) -> Tensor:
    """Boxes of one image after voting [D, 4], float32: b := sum_i w_i b_i / sum_i w_i (paper, section 3.3).

    The sum runs over the candidates b_i of the box's class with IoU(b, b_i) > `voting_iou`; a kept box is one of them.
    w_i = p_i s_i for `voting_weight` "ps", p_i for "p"; p_i = exp(-(1 - IoU(b, b_i))^2 / sigma_t); s_i: unified score.

    boxes, labels                [D, 4], [D]: detections after NMS, as they were before any voting.
    candidates, _labels, _scores [N, 4], [N], [N]: what went into NMS.
    sigma_t                      0.0025 in the paper's text, 0.025 in the authors' code and MMDetection.
    voting_iou                   0 in the paper, 0.01 in both codes.
    legacy                       inclusive-pixel IoU.
    largest                      most pairs in one step; more detections go in several rounds.

    A box without a neighbor (one of no area) stays as it is. Sums run in float64: with hundreds of neighbors at
    coordinates above 1000 float32 loses more than the 1e-3 px that tell one implementation from another.
    """
    checks.choice("voting_weight", voting_weight, WEIGHTS)
    rounds = max(1, largest // max(1, len(candidates)))
    every, scores = candidates.double(), candidate_scores.double()
    voted = []
    for some, of in zip(boxes.double().split(rounds), labels.split(rounds), strict=True):
        overlap = iou_matrix(some, every, legacy)
        neighbor = (overlap > voting_iou) & (of.unsqueeze(1) == candidate_labels)
        weights = overlap.sub_(1).square_().div_(-sigma_t).exp_().mul_(neighbor)
        if voting_weight == "ps":
            weights = weights.mul_(scores)
        total = weights.sum(1, keepdim=True)
        voted.append(torch.where(total > 0, weights @ every / total.clamp(min=torch.finfo(total.dtype).tiny), some))
    return torch.cat(voted).to(boxes.dtype)
