"""`assign=dynamic_soft_label` and `assign=ddod` equal MMDetection's assigners (golden arrays, and its code)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from composed import parts
from differences import Differences
from mmdetection import require
from rivals_arrays import AGAINST, GivenBoxes, load, names

from paa.assign import ATSS, DDOD, Assigner, DynamicSoftLabel
from paa.boxes import centers

SOFT, COST = names("dsl_"), names("ddod_")
TIE = 1e-5


def assigner_of(*overrides: str) -> Assigner:
    built = parts("modern", *overrides)
    assert isinstance(built.assigner, DDOD | DynamicSoftLabel)
    return replace(built.assigner, coder=GivenBoxes())


@pytest.mark.parametrize("name", SOFT)
def test_dynamic_soft_label(name: str, differences: Differences) -> None:
    scene = load(name)
    arrays, ours = scene.arrays, scene.assign(assigner_of("assign=dynamic_soft_label"))
    right = arrays["matched_gt"]
    wrong = ours.gt_index.numpy() != right
    differences.share(AGAINST, "labels, dynamic soft label", int(wrong.sum()), wrong.size)
    if not len(arrays["gt_k"]):  # no candidate of any ground truth
        assert not wrong.any()
        return
    tied = {(b, g) for b, g, i in scene.gts() if arrays["gt_cost_gap"][i] < TIE}
    for b, a in np.argwhere(wrong):
        assert {(b, int(ours.gt_index[b, a])), (b, int(right[b, a]))} & tied
    sure = arrays["gt_k_fraction"] > TIE
    assert np.array_equal(scene.of_file(ours.extras["k"])[sure], arrays["gt_k"][sure])
    assert ours.quality is not None
    if not wrong.any():
        differences.within(1e-5, AGAINST, "IoU targets, DSL", ours.quality[ours.positive], arrays["iou_targets"])


@pytest.mark.parametrize("name", SOFT)
def test_dynamic_soft_label_of_installed_mmdetection(name: str, differences: Differences) -> None:
    require()
    from mmdet.models.task_modules.assigners import DynamicSoftLabelAssigner
    from mmengine.structures import InstanceData

    scene = load(name)
    ours = scene.assign(assigner_of("assign=dynamic_soft_label"))
    strides = torch.tensor(scene.anchors.strides)[scene.anchors.level].unsqueeze(1).expand(-1, 2)
    priors = torch.cat((centers(scene.anchors.boxes), strides), 1)
    logits, boxes, _ = (t.detach() for t in vars(scene.predictions).values())
    for b, valid in enumerate(scene.targets.valid):
        truths = InstanceData(bboxes=scene.targets.boxes[b][valid], labels=scene.targets.labels[b][valid])
        given = InstanceData(bboxes=boxes[b], scores=logits[b], priors=priors)
        found = DynamicSoftLabelAssigner(topk=13).assign(given, truths)
        wrong = int((ours.gt_index[b] != found.gt_inds - 1).sum())
        differences.share("mmdet, MMDetection's own code", "labels, dynamic soft label", wrong, len(boxes[b]))
        assert wrong == 0


@pytest.mark.parametrize("case", ["class", "box", "plain"])
@pytest.mark.parametrize("name", COST)
def test_ddod(name: str, case: str, differences: Differences) -> None:
    scene = load(name)
    arrays = scene.arrays
    rule: Assigner = (
        ATSS() if case == "plain" else assigner_of("assign=ddod", f"assign.alpha={0.8 if case == 'class' else 0.5}")
    )
    ours, right = scene.assign(rule).gt_index.numpy(), arrays[f"{case}_matched_gt"]
    wrong = ours != right
    differences.share(AGAINST, f"labels, DDOD, {case}", int(wrong.sum()), wrong.size)
    gaps = np.minimum(arrays[f"{case}_gt_threshold_gap"], arrays["gt_distance_gap"])
    tied = {(b, g) for b, g, i in scene.gts() if gaps[i] < TIE}
    for b, a in np.argwhere(wrong):
        assert {(b, int(ours[b, a])), (b, int(right[b, a]))} & tied, f"anchor {a} of image {b}"
    if wrong.any():
        differences.tell(f"DDOD, {case}: {wrong.sum()} labels where the 9th and 10th anchor are equally far")
