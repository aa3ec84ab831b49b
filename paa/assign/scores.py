"""The anchor score: how well an anchor detects its ground truth as the network stands (paper, section 3.1, Eq. 1-3)."""

from __future__ import annotations

from torch import Tensor

from paa.boxes import BoxCoder, giou_loss
from paa.losses import focal_loss
from paa.structures import Predictions


def anchor_scores(
    predictions: Predictions,
    anchors: Tensor,
    boxes: Tensor,
    labels: Tensor,
    coder: BoxCoder,
    *,
    lambda_score: float = 1.0,
    alpha: float = 0.25,
    gamma: float = 2.0,
    giou: str = "add",
) -> Tensor:
    """-log S = L_cls + lambda L_IoU of every anchor with its GT (Eq. 3) -> [B, A] float32; smaller is better.

    anchors [A, 4], boxes [B, A, 4] of the GTs, labels [B, A] of the GTs. L_cls is the focal loss summed over all
    classes, L_IoU the GIoU loss of the decoded box.
    """
    classification = focal_loss(predictions.logits, labels, alpha, gamma).sum(-1)
    localisation = giou_loss(coder.decode(predictions.deltas, anchors), boxes, giou)
    return classification + lambda_score * localisation
