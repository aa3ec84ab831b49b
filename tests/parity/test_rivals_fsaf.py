"""`assign=fsaf` equals MMDetection's head, where it is installed, and a literal second implementation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from composed import parts
from differences import Differences
from mmdetection import require
from rivals_arrays import GivenBoxes, Scene, load, names

from paa.assign import FSAF
from paa.losses import focal_loss
from paa.structures import Assignment

FILES = names("tal_")  # scenes with centers at multiples of the stride, as FSAF has them
FEW = [name for name in FILES if load(name).targets.labels.shape[1] <= 20]


def assigned(scene: Scene, **changes: object) -> Assignment:
    built = parts("modern", "assign=fsaf").assigner
    assert isinstance(built, FSAF)
    return scene.assign(replace(built, coder=GivenBoxes(), **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{}, {"shadow": 0.5}, {"keep_of_a_class": True}], ids=str)
@pytest.mark.parametrize("name", FEW)
def test_literal(name: str, changes: dict[str, float], differences: Differences) -> None:
    scene = load(name)
    ours = assigned(scene, **changes)
    for b in range(len(scene.targets.labels)):
        gt_index, weights = literal(scene, b, **changes)  # type: ignore[arg-type]
        wrong = int((ours.gt_index[b].numpy() != gt_index).sum())
        differences.share("a literal second implementation", "labels, FSAF", wrong, len(gt_index))
        assert wrong == 0
        assert np.array_equal(ours.class_weights[b].numpy(), weights)  # type: ignore[index]


def literal(scene: Scene, b: int, shadow: float = 0.2, keep_of_a_class: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Assign anchor by anchor, ground truth by ground truth: gt_index [A] and class weights [A, C]."""
    valid = scene.targets.valid[b]
    truths, labels = scene.targets.boxes[b][valid].numpy(), scene.targets.labels[b][valid].tolist()
    logits, boxes = scene.predictions.logits[b].detach(), scene.predictions.deltas[b].detach().numpy()
    level = scene.anchors.level.tolist()
    gt_index, weights = np.full(len(level), -1), np.ones(logits.shape, np.float32)

    def region(truth: np.ndarray, scale: float) -> np.ndarray:
        middle, half = (truth[:2] + truth[2:]) / 2, (truth[2:] - truth[:2]) * np.float32(0.5) * np.float32(scale)
        return np.concatenate((middle - half, middle + half))

    cores, shadows = ([region(t, s) for t in truths] for s in (0.2, shadow))
    for a, anchor in enumerate(scene.anchors.boxes.numpy()):
        point, stride = (anchor[:2] + anchor[2:]) / 2, scene.anchors.strides[level[a]]
        cell = np.concatenate((point - stride / 2, point + stride / 2))

        def covered(box: np.ndarray, cell: np.ndarray = cell, stride: int = stride) -> bool:
            return (
                np.prod(np.clip(np.minimum(box[2:], cell[2:]) - np.maximum(box[:2], cell[:2]), 0, None))
                > 0.01 * stride**2
            )

        inside = [bool((point > t[:2]).all() and (point < t[2:]).all()) for t in truths]
        core = [g for g in range(len(truths)) if inside[g] and covered(cores[g])]
        if core:
            gt_index[a] = min(core, key=lambda g: np.prod(truths[g][2:] - truths[g][:2]))
        for g in range(len(truths)):
            if g != gt_index[a] and (g in core or covered(shadows[g])):
                weights[a, labels[g]] = 0
        if core and weights[a, labels[gt_index[a]]] == 0:
            if keep_of_a_class:
                weights[a, labels[gt_index[a]]] = 1
            else:
                gt_index[a] = -1
    classes = torch.tensor([labels[g] if g >= 0 else -1 for g in gt_index])
    loss = (focal_loss(logits, classes).numpy() * weights).sum(1, dtype=np.float64)
    losses: dict[tuple[int, int], list[float]] = {}
    for a, g in enumerate(gt_index):
        if g >= 0:
            near, far = np.maximum(boxes[a][:2], truths[g][:2]), np.minimum(boxes[a][2:], truths[g][2:])
            overlap = np.prod(np.clip(far - near, 0, None))
            areas = sum(np.prod(x[2:] - x[:2]) for x in (boxes[a], truths[g]))
            losses.setdefault((int(g), level[a]), []).append(loss[a] - np.log(max(overlap / (areas - overlap), 1e-6)))
    for a, g in enumerate(gt_index):
        if g >= 0:
            mine = {of: np.mean(values) for (gt, of), values in losses.items() if gt == g}
            if min(mine, key=mine.__getitem__) != level[a]:
                gt_index[a], weights[a, labels[g]] = -1, 0
    return gt_index, weights


@pytest.mark.parametrize("name", FILES)
def test_installed_mmdetection(name: str, differences: Differences) -> None:
    """Regions by its assigner; losses and the number of positives by its head, which got the boxes of the file."""
    require()
    from mmdet.models.dense_heads import FSAFHead
    from mmengine.config import ConfigDict
    from mmengine.structures import InstanceData

    scene = load(name)
    ours = assigned(scene)
    head = FSAFHead(
        num_classes=int(scene.arrays["num_classes"]),
        in_channels=8,
        reg_decoded_bbox=True,
        anchor_generator={
            "type": "AnchorGenerator",
            "octave_base_scale": 1,
            "scales_per_octave": 1,
            "ratios": [1.0],
            "strides": [8, 16, 32, 64, 128],
        },
        bbox_coder={"type": "TBLRBBoxCoder", "normalizer": 4.0},
        loss_cls={
            "type": "FocalLoss",
            "use_sigmoid": True,
            "gamma": 2.0,
            "alpha": 0.25,
            "loss_weight": 1.0,
            "reduction": "none",
        },
        loss_bbox={"type": "IoULoss", "eps": 1e-6, "loss_weight": 1.0, "reduction": "none"},
        train_cfg=ConfigDict(
            assigner={"type": "CenterRegionAssigner", "pos_scale": 0.2, "neg_scale": 0.2, "min_pos_iof": 0.01},
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
    )
    shapes, counts, size = scene.anchors.shapes, scene.anchors.counts, [int(n) for n in scene.arrays["image_size"]]
    logits, boxes, _ = (t.detach() for t in vars(scene.predictions).values())
    middle = (scene.anchors.boxes[:, :2] + scene.anchors.boxes[:, 2:]) / 2
    strides = torch.tensor(scene.anchors.strides)[scene.anchors.level].view(-1, 1)
    left_top, right_bottom = (middle - boxes[..., :2]) / strides / 4, (boxes[..., 2:] - middle) / strides / 4
    order = torch.stack((left_top[..., 1], right_bottom[..., 1], left_top[..., 0], right_bottom[..., 0]), -1)

    def maps(values: torch.Tensor) -> list[torch.Tensor]:
        pieces = zip(values.split(counts, 1), shapes, strict=True)
        return [v.mT.reshape(len(v), -1, *shape).contiguous() for v, shape in pieces]

    truths = [
        InstanceData(bboxes=scene.targets.boxes[b][v], labels=scene.targets.labels[b][v])
        for b, v in enumerate(scene.targets.valid)
    ]
    metas = [{"img_shape": size, "pad_shape": size, "scale_factor": 1.0}] * len(truths)
    found = head.loss_by_feat(maps(logits), maps(order), truths, metas)
    positives = int(ours.positive.sum())
    areas = [(t.bboxes[:, 2:] - t.bboxes[:, :2]).prod(1) for t in truths]
    if any(len(area.unique()) < len(area) for area in areas):
        differences.tell("FSAF: of ground truths of one area MMDetection takes any, ours is the first")
        return
    against = "mmdet, MMDetection's own code"
    assert positives == round(float(found["num_pos"]) * len(truths))
    built = parts("modern", "assign=fsaf", "auxiliary=none").criterion
    loss = replace(built, coder=GivenBoxes())(scene.predictions, scene.anchors, scene.targets, ours)["cls"].item()
    theirs = float(sum(found["loss_cls"])) * (1 if positives else len(middle) * len(truths))
    differences.within(1e-4, against, "class loss, FSAF", loss, theirs, relative=True)
