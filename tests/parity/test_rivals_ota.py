"""`assign=ota` equals OTA's code (golden arrays): supplies, labels, losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from composed import parts
from differences import Differences
from rivals_arrays import AGAINST, GivenBoxes, load, names

from paa.assign import OTA
from paa.assign.matching import gather_targets
from paa.structures import Assignment

FILES = names("ota_")
MARGIN = 1e-4
"""Shares of a ground truth closer than this are ordered by rounding, as between identical ground truths."""


def assigner_of(*overrides: str) -> OTA:
    built = parts("modern", "assign=ota", *overrides)
    assert isinstance(built.assigner, OTA)
    return replace(built.assigner, coder=GivenBoxes())


@pytest.mark.parametrize("name", FILES)
def test_labels(name: str, differences: Differences) -> None:
    scene = load(name)
    assignment = scene.assign(assigner_of())
    ours, right = assignment.gt_index.numpy(), scene.arrays["matched_gt_f64"]
    assert np.array_equal(scene.of_file(assignment.extras["k"]), scene.arrays["gt_k_f64"])
    wrong = ours != right
    differences.share(AGAINST, "labels, OTA", int(wrong.sum()), wrong.size)
    margins = np.ones(wrong.shape)
    margins[tuple(scene.arrays["margin_index"].T)] = scene.arrays["margin_f64"]
    if wrong.any():
        differences.tell(f"OTA: {wrong.sum()} labels with a margin of {margins[wrong].max():.1e} at most")
    assert (margins[wrong] < MARGIN).all()


@torch.no_grad()
@pytest.mark.parametrize("name", FILES)
def test_the_plan(name: str, differences: Differences) -> None:
    """Its entries where both codes know them, and costs to a float32 loss."""
    scene, assigner = load(name), assigner_of()
    if scene.targets.labels.shape[1] > 60:
        pytest.skip("a plan of 300 rows takes seconds")
    cost, k = assigner._costs(scene.anchors, scene.predictions, scene.targets)
    plan = assigner._transport(cost, k, scene.targets.valid, scene.anchors.inside).exp()
    arrays = scene.arrays
    index = arrays["plan_index"]
    real = index[:, 1] < np.array([int(scene.targets.valid[b].sum()) for b in index[:, 0]], int)
    assert real.any() or not scene.targets.valid.any()
    b, g, a = index[real].T
    differences.within(1e-4, AGAINST, "plan, OTA", plan[b, g, a].numpy(), arrays["plan_value_f64"][real])
    right = arrays["cost_value_f64"][real]
    ours = cost[b, g, a].numpy()
    scale = np.where(right > 1e5, 1e6, np.maximum(np.abs(right), 1))
    differences.within(1e-5, AGAINST, "costs, OTA", ours / scale, right / scale)


@pytest.mark.parametrize("name", FILES)
def test_losses(name: str, differences: Differences) -> None:
    """Their labels in float32; loss factors 2.0 and 0.5, the box loss not weighted by the IoU."""
    scene, arrays = load(name), load(name).arrays
    built = parts("modern", "assign=ota", "auxiliary=iou", "auxiliary.lambda_2=0.5")
    criterion = replace(built.criterion, coder=GivenBoxes())
    assignment = Assignment(torch.from_numpy(arrays["matched_gt"].astype(np.int64)))
    boxes, _ = gather_targets(scene.targets, assignment.gt_index)
    target = criterion.auxiliary.target(scene.predictions.deltas.detach(), boxes, scene.anchors.boxes)
    assert int(assignment.positive.sum()) == len(arrays["iou_targets"])
    differences.within(1e-5, AGAINST, "IoU targets, OTA", target[assignment.positive], arrays["iou_targets"])
    step = (scene.predictions, scene.anchors, scene.targets, assignment)
    losses = criterion(*step)
    plain = replace(criterion, auxiliary=parts("modern", "assign=ota", "auxiliary=none").auxiliary)
    found = {"loss_cls": losses["cls"], "loss_iou": losses["aux"], "loss_box_reg": plain(*step)["box"]}
    for part, loss in found.items():
        right = float(arrays[part])
        differences.within(1e-4, AGAINST, f"{part}, OTA", loss.item(), right, relative=right != 0)
