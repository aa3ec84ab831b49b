"""Losses and gradients of the authors' code, met by `compat=official` from the same network outputs (golden arrays)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from composed import assign
from differences import Differences
from official_arrays import Case, load, names

from paa.boxes import BoxCoder
from paa.structures import Assignment

TRAIN = names("train")
PARTS = {"cls": "loss_cls", "box": "loss_reg", "aux": "loss_iou"}
AUTHORS = "official, the authors' code"


def losses_of(case: Case, assignment: Assignment) -> dict[str, torch.Tensor]:
    return case.built.criterion(case.predictions, case.anchors, case.targets, assignment)


def theirs(case: Case) -> Assignment:
    return Assignment(torch.from_numpy(case.arrays["matched_gt"].astype(np.int64)))


def compare(case: Case, assignment: Assignment, differences: Differences, what: str) -> None:
    losses = losses_of(case, assignment)
    assert losses.keys() == PARTS.keys()
    for ours, name in PARTS.items():
        differences.within(1e-5, AUTHORS, what, losses[ours].item(), case.arrays[name], relative=True)


@pytest.mark.parametrize("name", TRAIN)
def test_loss_parts_and_statistics(name: str, differences: Differences) -> None:
    case = load(name)
    compare(case, theirs(case), differences, "loss parts")
    found = case.built.criterion.statistics(case.predictions, case.anchors, case.targets, theirs(case))
    right = [case.arrays["num_pos"], case.arrays["sum_ious"], len(case.arrays["image_sizes"])]
    differences.within(1e-5, AUTHORS, "normalisers", found.numpy(), right, relative=True)


@pytest.mark.parametrize("name", TRAIN)
def test_iou_targets(name: str, differences: Differences) -> None:
    case = load(name)
    coder, assignment = case.built.coder, theirs(case)
    assert isinstance(coder, BoxCoder)
    boxes = case.targets.boxes.gather(1, assignment.gt_index.clamp(min=0).unsqueeze(-1).expand(-1, -1, 4))
    boxes = coder.decode(coder.encode(boxes, case.anchors.boxes), case.anchors.boxes)
    decoded = coder.decode(case.predictions.deltas.detach(), case.anchors.boxes)
    targets = case.built.auxiliary.target(decoded, boxes, case.anchors.boxes)[assignment.positive]
    differences.within(1e-6, AUTHORS, "IoU targets", targets.numpy(), case.arrays["iou_targets"])


@pytest.mark.parametrize("name", TRAIN)
def test_gradients(name: str, differences: Differences) -> None:
    case = load(name)
    torch.stack(list(losses_of(case, theirs(case)).values())).sum().backward()
    for kind, maps in case.leaves.items():
        grad = np.concatenate([np.zeros(m.numel()) if m.grad is None else m.grad.flatten().numpy() for m in maps])
        right = {key: case.arrays[f"grad_{kind}_{key}"] for key in ("numel", "nonzero", "abssum", "index", "value")}
        assert len(grad) == right["numel"]
        assert np.count_nonzero(grad) == right["nonzero"]
        total = np.abs(grad.astype(np.float64)).sum()
        differences.within(1e-4, AUTHORS, f"gradients of {kind}, their sum", total, right["abssum"], relative=True)
        # an entry in which large terms cancel is known no better than to the rounding of the largest ones, 2e-6 of them
        scale = np.abs(right["value"]) + 2e-2 * np.abs(right["value"]).max()
        gap = np.abs(grad[right["index"]] - right["value"]) / scale
        differences.most(1e-4, AUTHORS, f"gradients of {kind}, relative", float(gap.max()))


@pytest.mark.parametrize("name", TRAIN)
def test_losses_of_our_own_assignment(name: str, differences: Differences) -> None:
    case = load(name)
    arrays = case.arrays
    assignment = assign(case.built, case.anchors, case.predictions, case.targets)
    if not np.array_equal(assignment.gt_index.clamp(min=-1).numpy(), arrays["matched_gt"]):
        decided = (arrays["gt_num_pos"] != arrays["gt_num_pos_f64"]) | (arrays["gt_score_gap"] < 1e-5)
        assert decided.any()
        pytest.skip("the float type of the fit, or rounding, decides a label in this file")
    compare(case, assignment, differences, "loss parts, end to end")
