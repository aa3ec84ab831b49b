"""`assign=fcos` equals FCOS's and AdelaiDet's code (golden arrays), and MMDetection's head (recorded losses)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from composed import parts
from differences import Differences
from rivals_arrays import AGAINST, GivenBoxes, Scene, load, names, read
from torch import Tensor

from paa.assign.matching import gather_targets
from paa.criterion import Criterion
from paa.structures import Assignment

FILES = names("fcos_")
CASES = {
    "plain": ("assign.radius=0",),
    "sampled": (),
    "adelaidet": ("assign._preset_=adelaidet",),
}


def assigned(scene: Scene, case: str) -> Assignment:
    return scene.assign(parts("modern", "assign=fcos", *CASES[case]).assigner)


def criterion_of(task: str) -> Criterion:
    built = parts("modern", "assign=fcos", f"auxiliary={task}", "auxiliary.lambda_1=1", "auxiliary.lambda_2=1")
    return replace(built.criterion, coder=GivenBoxes())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FILES)
def test_labels(name: str, case: str, differences: Differences) -> None:
    scene = load(name)
    if f"{case}_labels" not in scene.arrays:
        assert (scene.targets.valid.sum(1) == 0).any()
        differences.fails(AGAINST, f"FCOS, {name}", "it takes the least of no ground truth")
        return
    assignment = assigned(scene, case)
    _, labels = gather_targets(scene.targets, assignment.gt_index)
    ours = labels.where(assignment.positive, -1).numpy()
    wrong = int((ours != scene.arrays[f"{case}_labels"]).sum())
    differences.share(AGAINST, f"labels, FCOS, {case}", wrong, ours.size)
    assert wrong == 0
    if case != "adelaidet":
        assert np.array_equal(assignment.gt_index.numpy(), scene.arrays[f"{case}_matched_gt"])


def test_the_area_of_the_presets_orders_ground_truths_of_nearly_the_same_size() -> None:
    """As in scenes 16 and 22 of the full set."""
    differ = [
        name for name in FILES if not torch.equal(*(assigned(load(name), c).gt_index for c in ("sampled", "adelaidet")))
    ]
    assert len(differ) <= 2


@pytest.mark.parametrize("case", ["plain", "sampled"])
@pytest.mark.parametrize("name", FILES)
def test_losses_and_gradients(name: str, case: str, differences: Differences) -> None:
    scene, criterion = load(name), criterion_of("centerness")
    arrays = scene.arrays
    if f"{case}_loss_cls" not in arrays:
        pytest.skip("its code fails on an image without ground truth")
    assignment = assigned(scene, case)
    positive = assignment.positive
    boxes, _ = gather_targets(scene.targets, assignment.gt_index)
    target = criterion.auxiliary.target(scene.predictions.deltas.detach(), boxes, scene.anchors.boxes)
    assert int(positive.sum()) == len(arrays[f"{case}_centerness_targets"])
    differences.within(
        1e-5, AGAINST, "centerness targets, FCOS", target[positive], arrays[f"{case}_centerness_targets"]
    )
    losses = criterion(scene.predictions, scene.anchors, scene.targets, assignment)
    torch.stack(list(losses.values())).sum().backward()
    found = {"loss_cls": losses["cls"], "loss_centerness": losses["aux"]}
    found["loss_reg"] = theirs(scene, assignment, target, case)  # with 1 more of the intersection and the union
    if name == FILES[0]:
        differences.tell("FCOS: box losses are theirs once 1 is added to intersection and union")
    for part, loss in found.items():
        right = float(arrays[f"{case}_{part}"])
        if np.isfinite(right):
            differences.within(1e-4, AGAINST, f"{part}, FCOS", loss.item(), right, relative=right != 0)
        else:
            differences.fails(AGAINST, f"FCOS, {name}", "its focal loss takes the logarithm of 0")
    for kind, grad in scene.gradients().items():
        if kind != "reg" and f"{case}_grad_{kind}_value" in arrays:
            right = arrays[f"{case}_grad_{kind}_value"]
            scale = max(np.abs(right).max(initial=0), 1e-12)
            ours = grad[arrays[f"{case}_grad_{kind}_index"]]
            differences.within(1e-3, AGAINST, f"gradients of {kind}, FCOS", ours / scale, right / scale)


def theirs(scene: Scene, assignment: Assignment, weight: Tensor, case: str) -> Tensor:
    """Return the weighted box loss of the authors: IoU on pixels (plain) or GIoU on strides (sampled), areas + 1."""
    positive = assignment.positive
    boxes, _ = gather_targets(scene.targets, assignment.gt_index)
    strides = torch.tensor(scene.anchors.strides)[scene.anchors.level].expand(positive.shape)[positive].unsqueeze(1)
    scale = 1 if case == "plain" else strides
    ours, right = scene.predictions.deltas.detach()[positive] / scale, boxes[positive] / scale
    inter = (torch.minimum(ours, right)[:, 2:] - torch.maximum(ours, right)[:, :2]).clamp(min=0).prod(1)
    hull = (torch.maximum(ours, right)[:, 2:] - torch.minimum(ours, right)[:, :2]).prod(1)
    union = sum((b[:, 2:] - b[:, :2]).prod(1) for b in (ours, right)) - inter
    iou = (inter + 1) / (union + 1)
    loss = -iou.log() if case == "plain" else 1 - (iou - (hull - union) / hull)
    return (loss * weight[positive]).sum() / weight[positive].sum().clamp(min=1e-12)


def test_losses_of_mmdetection(differences: Differences) -> None:
    arrays = read("mmdet_heads.npz")
    for name, right, different in zip(
        arrays["fcos_sampled_scene"], arrays["fcos_sampled_loss"], arrays["fcos_sampled_labels_differ"], strict=True
    ):
        file = f"fcos_{name}.npz"
        if file not in FILES:
            continue
        scene, criterion = load(file), criterion_of("centerness")
        assignment = scene.assign(parts("modern", "assign=fcos", "assign._preset_=mmdet").assigner)
        if "sampled_labels" in scene.arrays:
            _, labels = gather_targets(scene.targets, assignment.gt_index)
            wrong = int((labels.where(assignment.positive, -1).numpy() != scene.arrays["sampled_labels"]).sum())
            assert wrong == different
        losses = criterion(scene.predictions, scene.anchors, scene.targets, assignment)
        ours = np.array([losses[key].item() for key in ("cls", "box", "aux")])
        differences.within(
            1e-4, "mmdet, MMDetection's own code", "losses, FCOS", ours, right, relative=bool(right.all())
        )
