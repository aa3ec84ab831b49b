"""Class losses with soft targets equal those of GFL, VarifocalNet, DEIM and MMDetection (golden arrays)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from differences import Differences
from mmdetection import require
from rivals_arrays import AGAINST, read
from torch import Tensor

from paa.losses import matchability_loss, quality_focal_loss, varifocal_loss

LOSSES: dict[str, Callable[..., Tensor]] = {
    "qfl": quality_focal_loss,
    "vfl": varifocal_loss,
    "vfl_mmdet": varifocal_loss,
    "vfl_unweighted": partial(varifocal_loss, own_weight=False),
    "mal": matchability_loss,
    "mal_alpha": partial(matchability_loss, alpha=0.5),
    "mal_gamma2": partial(matchability_loss, gamma=2.0),
}


def inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits [240, 6] as a leaf, labels [240] and quality [240]."""
    arrays = read("losses.npz")
    logits = torch.from_numpy(arrays["logits"]).to(dtype).requires_grad_()
    return logits, torch.from_numpy(arrays["labels"]), torch.from_numpy(arrays["quality"]).to(dtype)


@pytest.mark.parametrize("name", LOSSES)
def test_elements_and_gradients(name: str, differences: Differences) -> None:
    arrays, (logits, labels, quality) = read("losses.npz"), inputs()
    found = LOSSES[name](logits, labels, quality)
    found.sum().backward()
    ours = {name: found.detach().numpy(), f"grad_{name}": logits.grad.numpy()}  # type: ignore[union-attr]
    rows = np.ones(len(labels), bool)
    if name.startswith("vfl"):  # theirs takes a positive whose quality is 0 for a negative; ours has it learn 1e-6
        rows = ~((labels >= 0) & (quality == 0)).numpy()
        differences.tell(f"{(~rows).sum()} positives of quality 0 are negatives there")
        assert 0 < (~rows).sum() < 50
    for key, value in ours.items():
        right = arrays[key]
        scale = np.maximum(np.abs(right), 1)
        differences.within(1e-5, AGAINST, key, (value / scale)[rows], (right / scale)[rows])


@pytest.mark.parametrize("name", ["qfl", "mal"])  # vfl has other sums where the quality is 0, see above
def test_mmdetection_and_float64(name: str, differences: Differences) -> None:
    """Sums of float64 inputs, of which the loss sees float32."""
    arrays, (logits, labels, quality) = read("losses.npz"), inputs()
    total = LOSSES[name](logits, labels, quality).double().sum()
    assert total.item() > 1
    differences.within(1e-5, AGAINST, f"sum of {name}", total.item(), arrays[f"sum_{name}_f64"], relative=True)
    if name == "qfl":
        rows = LOSSES[name](logits, labels, quality).sum(-1).detach()
        right = arrays["qfl_mmdet_rows"]
        differences.within(1e-5, AGAINST, "qfl, MMDetection", rows / np.maximum(right, 1), right / np.maximum(right, 1))


def test_installed_mmdetection(differences: Differences) -> None:
    require()
    from mmdet.models.losses.gfocal_loss import quality_focal_loss as theirs_qfl
    from mmdet.models.losses.varifocal_loss import varifocal_loss as theirs_vfl

    logits, labels, quality = (t.detach() for t in inputs())
    quality = quality.clamp(min=1e-6)
    background = labels.where(labels >= 0, 6)
    right = theirs_qfl(logits, (background, quality), reduction="none")
    ours = quality_focal_loss(logits, labels, quality).sum(-1)
    assert ours.shape == right.shape
    differences.within(1e-4, "mmdet, MMDetection's own code", "qfl", ours, right)
    target = torch.zeros(len(labels), 7).scatter_(1, background[:, None], quality[:, None])[:, :6]
    right = theirs_vfl(logits, target, reduction="none")
    differences.within(1e-4, "mmdet, MMDetection's own code", "vfl", varifocal_loss(logits, labels, quality), right)
