"""Element-wise losses of the network's logits; nothing here is reduced or normalized. The box loss is in `boxes`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def focal_loss(logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Sigmoid focal loss of logits [..., C] against labels [...] int64 (a class, or -1: none of them) -> [..., C].

    With z the logit, negated for the labeled class, it is weight * sigmoid(z)^gamma * softplus(z), weight alpha for
    the labeled class and 1 - alpha for the others (Lin et al., "Focal loss for dense object detection", Eq. 5). That
    form is finite at any logit and needs no dense targets, unlike torchvision's (analysis/benchmark.py compares them).
    """
    logits = logits.float()
    index, own = labels.clamp(min=0).unsqueeze(-1), (labels >= 0).unsqueeze(-1)
    sign = torch.ones_like(logits).scatter_(-1, index, torch.where(own, -1.0, 1.0))
    weight = torch.full_like(logits, 1 - alpha).scatter_(-1, index, torch.where(own, alpha, 1 - alpha))
    z = logits * sign
    p = torch.sigmoid(z)
    modulation = p.square() if gamma == 2 else p.pow(gamma)
    return modulation * F.softplus(z) * weight


def quality_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of logits [...] with targets [...] in [0, 1] -> [...]: L_IoUP of the paper, section 3.2."""
    return F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
