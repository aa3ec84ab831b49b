from __future__ import annotations

import torch
from scenes import scene
from torchvision.ops import box_iou

from paa.assign import ATSS, TAL
from paa.auxiliary import Centerness, NoAuxiliary
from paa.boxes import BoxCoder
from paa.criterion import Criterion


def test_the_warm_up_is_atss_with_focal_loss_and_centerness() -> None:
    anchors, predictions, targets = scene("random", 0)
    tal = TAL(BoxCoder(), warmup=0.25)
    step = (predictions, anchors, targets)
    early, atss = tal(anchors, predictions, targets, 0.24), ATSS(9)(anchors, predictions, targets)
    assert torch.equal(early.gt_index, atss.gt_index)
    ours = Criterion(BoxCoder(), NoAuxiliary(2.0), class_loss="qfl", normalizer="quality")(*step, early)
    right = Criterion(BoxCoder(), Centerness(2.0, 0.0))(*step, atss)
    for part in ("cls", "box"):
        torch.testing.assert_close(ours[part], right[part])
    late = tal(anchors, predictions, targets, 0.25)
    assert not torch.equal(late.gt_index, atss.gt_index)
    assert late.class_weights is None


def test_candidates_inside_leave_fewer_ground_truths_without_a_positive() -> None:
    held = {"any": 0, "inside": 0}
    for seed in range(4):
        anchors, predictions, targets = scene("random", seed, counts=(6, 6))
        for candidates in held:
            found = TAL(BoxCoder(), warmup=0.0, candidates=candidates)(anchors, predictions, targets, 0.5).gt_index
            held[candidates] += sum(len(image[image >= 0].unique()) for image in found)
    assert held["any"] < held["inside"]


def test_the_target_of_the_best_positive_is_the_highest_iou_of_its_ground_truth() -> None:
    anchors, predictions, targets = scene("huge", 3)
    found = TAL(BoxCoder(), warmup=0.0)(anchors, predictions, targets, 0.5)
    assert found.quality is not None
    decoded = BoxCoder().decode(predictions.deltas, anchors.boxes)
    for b, g in {(int(b), int(found.gt_index[b, a])) for b, a in found.positive.nonzero()}:
        own = found.gt_index[b] == g
        best = box_iou(decoded[b][own], targets.boxes[b, g : g + 1]).max()
        torch.testing.assert_close(found.quality[b][own].max(), best, rtol=1e-3, atol=1e-6)
