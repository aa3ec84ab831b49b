from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from paa.losses import focal_loss, quality_loss


def _one_hot(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return F.one_hot(labels + 1, classes + 1)[..., 1:].float()


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 1.5), (0.25, 0.0), (0.0, 2.0)])
def test_focal_loss_and_its_gradient_are_torchvisions(alpha: float, gamma: float) -> None:
    draw = torch.Generator().manual_seed(0)
    logits = (torch.randn(4, 30, 6, generator=draw) * 4).requires_grad_()
    labels = torch.randint(-1, 6, (4, 30), generator=draw)
    ours = focal_loss(logits, labels, alpha, gamma)
    theirs = sigmoid_focal_loss(logits, _one_hot(labels, 6), alpha, gamma)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    (grad,), (right,) = torch.autograd.grad(ours.sum(), logits), torch.autograd.grad(theirs.sum(), logits)
    torch.testing.assert_close(grad, right, rtol=1e-4, atol=1e-6)


def test_focal_loss_by_hand() -> None:
    # p = 1/2 everywhere: weight * (1/2)^2 * ln 2
    loss = focal_loss(torch.zeros(2, 3), torch.tensor([1, -1]))
    low, high = 0.25 * 0.25 * math.log(2), 0.75 * 0.25 * math.log(2)
    assert loss[0].tolist() == pytest.approx([high, low, high])
    assert loss[1].tolist() == pytest.approx([high] * 3)


def test_focal_loss_is_finite_at_any_logit() -> None:
    logits = torch.tensor([[1e4, -1e4, 88.0, -104.0]] * 5, requires_grad=True)
    loss = focal_loss(logits, torch.arange(-1, 4))
    assert loss.isfinite().all()
    assert loss[1, 0] == 0
    assert loss[2, 1].item() == pytest.approx(0.25 * 1e4)
    assert loss[0, 0].item() == pytest.approx(0.75 * 1e4)
    assert torch.autograd.grad(loss.sum(), logits)[0].isfinite().all()


def test_losses_work_in_float32() -> None:
    assert focal_loss(torch.randn(2, 3).bfloat16(), torch.tensor([0, 1])).dtype == torch.float32
    assert quality_loss(torch.randn(2).bfloat16(), torch.rand(2)).dtype == torch.float32


def test_quality_loss_by_hand() -> None:
    loss = quality_loss(torch.tensor([0.0, 2.0]), torch.tensor([0.3, 0.9]))
    p = 1 / (1 + math.exp(-2))
    assert loss.tolist() == pytest.approx([math.log(2), -0.9 * math.log(p) - 0.1 * math.log(1 - p)])
