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


def quality_focal_loss(logits: Tensor, labels: Tensor, quality: Tensor, gamma: float = 2.0) -> Tensor:
    """Quality focal loss (GFL, Li et al. 2020): |t - p|^gamma * BCE(logit, t); arguments as `varifocal_loss`.

    The target t is the quality for the labeled class and 0 for the others. The weight carries gradient.
    """
    logits = logits.float()
    target, _ = _targets(logits, labels, quality)
    return (target - logits.sigmoid()).abs().pow(gamma) * _cross_entropy(logits, target)


def varifocal_loss(
    logits: Tensor, labels: Tensor, quality: Tensor, alpha: float = 0.75, gamma: float = 2.0, own_weight: bool = True
) -> Tensor:
    """Varifocal loss (Zhang et al. 2021) of logits [..., C], labels [...] int64, quality [...] in [0, 1] -> [..., C].

    t * BCE(logit, t) for the labeled class, with t the quality; alpha * p^gamma * BCE(logit, 0) for the others. A
    quality of 0 counts as 1e-6. own_weight=False: the weight of the labeled class is 1 and not t.
    """
    logits = logits.float()
    target, own = _targets(logits, labels, quality.clamp(min=1e-6))
    weight = torch.where(own, target if own_weight else 1.0, alpha * (logits.sigmoid() - target).abs().pow(gamma))
    return weight * _cross_entropy(logits, target)


def matchability_loss(
    logits: Tensor, labels: Tensor, quality: Tensor, alpha: float | None = None, gamma: float = 1.5
) -> Tensor:
    """Matchability-aware loss (DEIM, Huang et al. 2025); arguments as `varifocal_loss`; the weight has no gradient.

    BCE(logit, t^gamma) for the labeled class, with t the quality; p^gamma * BCE(logit, 0) for the others, times alpha
    if it is given.
    """
    logits = logits.float()
    target, own = _targets(logits, labels, quality.pow(gamma))
    weight = logits.detach().sigmoid().pow(gamma) * (1 if alpha is None else alpha)
    return weight.masked_fill(own, 1) * _cross_entropy(logits, target)


def carl_weights(scores: Tensor, positive: Tensor, k: float = 1.0, bias: float = 0.2) -> Tensor:
    """Weights [...] of the box losses of positives with the scores [...] of their classes (PISA, Cao et al. 2020).

    (bias + (1 - bias) p)^k over its mean over the positives. They carry gradient, so that a large box loss lowers the
    score.
    """
    weights = (bias + (1 - bias) * scores).pow(k).where(positive, 0)
    return weights * (positive.sum() / weights.sum().clamp(min=1e-12))


def _targets(logits: Tensor, labels: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
    """Targets [..., C], quality [...] at the label and 0 elsewhere, and the mask [..., C] of the labels."""
    classes = torch.arange(logits.shape[-1], device=logits.device)
    own = classes == labels.unsqueeze(-1)
    return quality.unsqueeze(-1).to(logits).where(own, 0), own


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def quality_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of logits [...] with targets [...] in [0, 1] -> [...]: L_IoUP of the paper, section 3.2."""
    return F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
