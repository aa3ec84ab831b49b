"""`assign=pisa` equals MMDetection's isr_p and carl_loss (golden arrays); images are confused in its preset only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from composed import parts
from differences import Differences
from rivals_arrays import AGAINST, Arrays, GivenBoxes, names, read
from torch import Tensor
from torch.nn import functional as F

from paa.assign import PISA
from paa.losses import carl_weights
from paa.structures import Anchors, Assignment, Predictions, Targets

FILES = names("pisa_")


class Given:
    """Stands for the base assigner: returns what the file says."""

    def __init__(self, gt_index: Tensor) -> None:
        self.gt_index = gt_index

    def __call__(self, *step: object) -> Assignment:
        return Assignment(self.gt_index)


def padded(arrays: Arrays, rows: np.ndarray, fill: float) -> Tensor:
    """Return rows of all images as [B, R, ...], R rows of the longest image."""
    of_image = [torch.from_numpy(rows[arrays["image_of_row"] == b]) for b in range(int(arrays["num_images"]))]
    return torch.nn.utils.rnn.pad_sequence(of_image, batch_first=True, padding_value=fill)


def step_of(arrays: Arrays) -> tuple[Anchors, Predictions, Targets, Tensor]:
    """Return the rows as a batch, and the index of their ground truths [B, R]."""
    gt_index, labels = padded(arrays, arrays["gt_of_row"], -1), padded(arrays, arrays["labels"], -1)
    gt_boxes = padded(arrays, arrays["gt_boxes_of_row"], 0)
    gts = int(gt_index.max()) + 1
    boxes, classes = torch.zeros(len(labels), gts, 4), torch.zeros(len(labels), gts, dtype=torch.int64)
    for b, g in (gt_index >= 0).nonzero().tolist():
        boxes[b, gt_index[b, g]], classes[b, gt_index[b, g]] = gt_boxes[b, g], labels[b, g]
    anchors = padded(arrays, arrays["anchors"], 0)[0]
    grid = Anchors(anchors, torch.zeros(len(anchors), dtype=torch.int64), gt_index > -2, ((1, len(anchors)),), (8,))
    given = Predictions(padded(arrays, arrays["cls_logits"], 0), padded(arrays, arrays["decoded_boxes"], 0))
    return grid, given, Targets(boxes, classes, torch.ones(classes.shape, dtype=torch.bool)), gt_index


@pytest.mark.parametrize("preset", ["mmdet", "modern"])
@pytest.mark.parametrize("name", FILES)
def test_weights(name: str, preset: str, differences: Differences) -> None:
    arrays = read(name)
    built = parts("modern", "assign=pisa", f"assign._preset_={preset}").assigner
    assert isinstance(built, PISA)
    *step, gt_index = step_of(arrays)
    rule = replace(built, base=Given(gt_index), coder=GivenBoxes())  # type: ignore[arg-type]
    found = rule(*step)
    rows = padded(arrays, np.ones(len(arrays["labels"]), bool), False)
    assert found.class_weights is not None
    ours, right = found.class_weights[rows].numpy(), arrays["isr_weights_f64"]
    if preset == "mmdet" or int(arrays["num_images"]) < 3:
        differences.within(1e-4, AGAINST, f"weights of ISR-P, {preset}", ours, right, relative=True)
        return
    assert not np.allclose(ours, right, rtol=1e-3)
    differences.fails(AGAINST, f"PISA, {name}", "it merges ground truths of different images")


@pytest.mark.parametrize("name", FILES)
def test_carl(name: str, differences: Differences) -> None:
    arrays = read(name)
    logits, deltas = (torch.from_numpy(arrays[k]).requires_grad_() for k in ("cls_logits", "box_deltas"))
    labels = torch.from_numpy(arrays["labels"])
    positive = labels < logits.shape[1]
    scores = logits.sigmoid().gather(1, labels.where(positive, 0).unsqueeze(1)).squeeze(1)
    targets = torch.from_numpy(arrays["box_delta_targets"])
    box = F.smooth_l1_loss(deltas, targets, beta=0.11, reduction="none").sum(1)
    loss = (box * carl_weights(scores, positive)).where(positive, 0).sum() / positive.sum()
    loss.backward()
    differences.within(1e-5, AGAINST, "loss of CARL", loss.item(), arrays["loss_carl_f64"], relative=True)
    for leaf, key in ((logits, "grad_carl_cls"), (deltas, "grad_carl_box")):
        assert leaf.grad is not None
        scale = np.abs(arrays[key]).max()
        differences.within(1e-3, AGAINST, key, leaf.grad.numpy() / scale, arrays[key] / scale)
