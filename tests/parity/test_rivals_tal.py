"""`assign=tal` equals TOOD's code (golden arrays) and MMDetection's: labels, targets, losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from composed import parts
from differences import Differences
from mmdetection import require
from rivals_arrays import AGAINST, GivenBoxes, Scene, load, names
from torch.nn import functional as F

from paa.assign import TAL
from paa.assign.matching import gather_targets
from paa.structures import Assignment

FILES = names("tal_")


def assigner_of(*overrides: str) -> TAL:
    built = parts("modern", "assign=tal", *overrides)
    assert isinstance(built.assigner, TAL)
    return replace(built.assigner, coder=GivenBoxes())


@pytest.mark.parametrize("name", FILES)
def test_labels_targets_and_losses(name: str, differences: Differences) -> None:
    scene = load(name)
    arrays, ours = scene.arrays, scene.assign(assigner_of())
    right = arrays["matched_gt"]
    wrong = int((ours.gt_index.numpy() != right).sum())
    differences.share(AGAINST, "labels, TAL", wrong, right.size)
    assert wrong == 0
    sure = arrays["gt_topk_gap"] > 1e-5
    candidates = np.sort(scene.of_file(ours.extras["candidates"]), 1)
    assert np.array_equal(candidates[sure], arrays["gt_candidates"][sure])
    assert ours.quality is not None
    differences.within(1e-5, AGAINST, "soft targets, TAL", ours.quality[ours.positive], arrays["soft_targets"])

    for preset, prefix in (("authors", ""), ("mmdet", "mmdet_")):
        built = parts("modern", "assign=tal", f"assign._preset_={preset}", "auxiliary=none")
        losses = replace(built.criterion, coder=GivenBoxes())(scene.predictions, scene.anchors, scene.targets, ours)
        if "extreme" in name:
            differences.tell("TAL: where p is 0 or 1 its class loss is cut at 100, as that of probabilities is")
            losses["cls"] = of_probabilities(scene, ours)
        for part, key in {"cls": "loss_cls", "box": "loss_bbox"}.items():
            right = float(arrays[f"{prefix}{key}"])
            differences.within(1e-4, AGAINST, f"{key}, TAL", losses[part].item(), right, relative=right != 0)
        if preset == "authors" and "extreme" not in name:
            torch.stack(list(losses.values())).sum().backward()
            for kind in ("cls", "reg"):
                right = arrays[f"grad_{kind}_value"]
                scale = max(np.abs(right).max(initial=0), 1e-12)
                found = scene.gradients()[kind][arrays[f"grad_{kind}_index"]]
                differences.within(1e-3, AGAINST, f"gradients of {kind}, TAL", found / scale, right / scale)


def of_probabilities(scene: Scene, found: Assignment) -> torch.Tensor:
    """Return the class loss by binary cross-entropy of probabilities."""
    assert found.quality is not None
    _, labels = gather_targets(scene.targets, found.gt_index)
    p = scene.predictions.logits.detach().sigmoid()
    target = torch.zeros_like(p).scatter_(-1, labels.unsqueeze(-1), (found.quality * found.positive).unsqueeze(-1))
    loss = F.binary_cross_entropy(p, target, reduction="none") * (target - p).square()
    return loss.sum() / target.sum()


@pytest.mark.parametrize("name", FILES)
def test_installed_mmdetection(name: str, differences: Differences) -> None:
    require()
    from mmdet.models.task_modules.assigners import TaskAlignedAssigner
    from mmengine.structures import InstanceData

    scene = load(name)
    ours = scene.assign(assigner_of())
    logits, boxes, _ = (t.detach() for t in vars(scene.predictions).values())
    for b, valid in enumerate(scene.targets.valid):
        truths = InstanceData(bboxes=scene.targets.boxes[b][valid], labels=scene.targets.labels[b][valid])
        given = InstanceData(bboxes=boxes[b], scores=logits[b].sigmoid(), priors=scene.anchors.boxes)
        found = TaskAlignedAssigner(topk=13).assign(given, truths)
        wrong = int((ours.gt_index[b] != found.gt_inds - 1).sum())
        differences.share("mmdet, MMDetection's own code", "labels, TAL", wrong, len(boxes[b]))
        assert wrong == 0
