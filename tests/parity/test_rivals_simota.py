"""`assign=simota` equals both versions of YOLOX's code (golden arrays) and MMDetection's assigner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from composed import parts
from differences import Differences
from mmdetection import require
from rivals_arrays import AGAINST, GivenBoxes, Scene, load, names

from paa.assign import SimOTA
from paa.assign.matching import gather_targets
from paa.boxes import centers
from paa.structures import Assignment

FILES = names("simota_")
VERSIONS = {"release": ("assign.version=release",), "head": ("assign.version=2023",)}
TIE = 1e-5
"""Costs closer than this are ordered by the rounding of float32; so are those of 10^5, which has steps of 0.008."""


def assigner_of(*overrides: str) -> SimOTA:
    built = parts("modern", "assign=simota", "assign.soft=true", *overrides)
    assert isinstance(built.assigner, SimOTA)
    return replace(built.assigner, coder=GivenBoxes())


def compare(scene: Scene, ours: Assignment, right: np.ndarray, what: str, differences: Differences) -> np.ndarray:
    """Assert equal labels but for ground truths whose k-th and next cost tie; return which anchors are equal [B, A]."""
    found = ours.gt_index.numpy()
    wrong = found != right
    differences.share(AGAINST, f"labels, SimOTA, {what}", int(wrong.sum()), wrong.size)
    version = "head" if what == "head" else "release"
    gaps = scene.arrays[f"{version}_gt_cost_gap"]
    tied = {(b, g) for b, g, i in scene.gts() if gaps[i] < TIE}
    for b, a in np.argwhere(wrong):
        either = {(b, int(found[b, a])), (b, int(right[b, a]))}
        assert either & tied, f"anchor {a} of image {b}: {found[b, a]}, there {right[b, a]}"
    if wrong.any():
        differences.tell(f"SimOTA, {what}: {wrong.sum()} labels of ground truths whose k-th and next cost tie")
    assert wrong.sum() <= 0.001 * wrong.size
    return ~wrong


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", FILES)
def test_labels_and_targets(name: str, version: str, differences: Differences) -> None:
    scene = load(name)
    ours = scene.assign(assigner_of(*VERSIONS[version]))
    right = scene.arrays[f"{version}_matched_gt"]
    same = compare(scene, ours, right, version, differences)
    k = scene.of_file(ours.extras["k"])
    sure = scene.arrays[f"{version}_gt_k_fraction"] > TIE
    assert np.array_equal(k[sure], scene.arrays[f"{version}_gt_k"][sure])
    assert ours.quality is not None
    theirs = np.zeros(right.shape, np.float32)
    theirs[right >= 0] = scene.arrays[f"{version}_iou_targets"]
    both = same & (right >= 0)
    boxes, _ = gather_targets(scene.targets, ours.gt_index)
    again = iou_by_center(scene.predictions.deltas.detach(), boxes).numpy()
    if name == FILES[0]:
        differences.tell("SimOTA: its boxes are rounded to center and size; IoUs of such boxes are compared")
    differences.within(1e-5, AGAINST, "IoU targets, SimOTA", again[both], theirs[both])
    differences.within(
        5e-5, AGAINST, "IoU targets, SimOTA, of the boxes themselves", ours.quality.numpy()[both], theirs[both]
    )


def iou_by_center(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return IoUs [...] of boxes [..., 4] that are known by center and size, in float32."""
    (m, s), (n, t) = ((centers(boxes), boxes[..., 2:] - boxes[..., :2]) for boxes in (a, b))
    overlap = (torch.minimum(m + s / 2, n + t / 2) - torch.maximum(m - s / 2, n - t / 2)).clamp(min=0).prod(-1)
    return overlap / (s.prod(-1) + t.prod(-1) - overlap)


@pytest.mark.parametrize("name", FILES)
def test_labels_of_mmdetection(name: str, differences: Differences) -> None:
    scene = load(name)
    ours = scene.assign(assigner_of("assign._preset_=mmdet"))
    compare(scene, ours, scene.arrays["mmdet_matched_gt"], "mmdet", differences)


@pytest.mark.parametrize("name", FILES)
def test_installed_mmdetection(name: str, differences: Differences) -> None:
    require()
    from mmdet.models.task_modules.assigners import SimOTAAssigner
    from mmengine.structures import InstanceData

    scene = load(name)
    ours = scene.assign(assigner_of("assign._preset_=mmdet"))
    strides = torch.tensor(scene.anchors.strides)[scene.anchors.level].unsqueeze(1).expand(-1, 2)
    priors = torch.cat((centers(scene.anchors.boxes), strides), 1)
    logits, boxes, quality = (t.detach() for t in vars(scene.predictions).values())
    for b, valid in enumerate(scene.targets.valid):
        scores = (logits[b].sigmoid() * quality[b].sigmoid().unsqueeze(1)).sqrt()
        truths = InstanceData(bboxes=scene.targets.boxes[b][valid], labels=scene.targets.labels[b][valid])
        found = SimOTAAssigner().assign(InstanceData(bboxes=boxes[b], scores=scores, priors=priors), truths)
        wrong = ours.gt_index[b] != found.gt_inds - 1
        differences.share("mmdet, MMDetection's own code", "labels, SimOTA", int(wrong.sum()), wrong.numel())
        assert wrong.sum() <= 2
