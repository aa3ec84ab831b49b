from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from scenes import scene

from paa.assign import ATSS
from paa.auxiliary import Auxiliary, Centerness, IoUPrediction, NoAuxiliary, Objectness
from paa.boxes import BoxCoder, iou_pairs
from paa.criterion import Criterion

BOX = torch.tensor([[0.0, 0, 10, 20]])


def test_centerness_by_hand() -> None:
    task = Centerness()
    # center (2, 5): left 2, right 8, top 5, bottom 15
    target = task.target(BOX, BOX, torch.tensor([[-2.0, 1, 6, 9]]))
    assert target.tolist() == pytest.approx([(2 / 8 * 5 / 15) ** 0.5])
    assert task.target(BOX, BOX, torch.tensor([[1.0, 6, 9, 14]])).tolist() == [1]
    assert torch.equal(task.weight(target), target)


def test_centerness_is_0_on_the_edge_and_outside() -> None:
    anchors = torch.tensor([[-4.0, 6, 4, 14], [-10, 6, -2, 14], [-10, -10, -2, -2], [8, 18, 30, 40]])
    assert Centerness().target(BOX, BOX.expand(4, 4), anchors).tolist() == [0, 0, 0, 0]
    point = torch.tensor([[3.0, 3, 3, 3]])
    assert Centerness().target(point, point, torch.tensor([[1.0, 1, 5, 5]])).tolist() == [0]


def test_iou_target_is_the_iou_of_the_decoded_box() -> None:
    decoded = torch.tensor([[0.0, 0, 10, 10]])
    target = IoUPrediction().target(decoded, BOX, BOX)
    assert target.item() == pytest.approx(0.5)
    assert IoUPrediction(legacy=True).target(decoded, BOX, BOX).item() == pytest.approx(11 * 11 / (11 * 21))


def test_without_a_task_every_positive_weighs_the_same() -> None:
    target = NoAuxiliary().target(torch.rand(2, 3, 4), torch.rand(2, 3, 4), torch.rand(3, 4))
    assert target.tolist() == [[1] * 3] * 2


@pytest.mark.parametrize("task", [Centerness(), IoUPrediction()])
def test_unified_score(task: Auxiliary) -> None:
    prob, logit = torch.tensor([[0.5, 0.08]]), torch.tensor([0.0])
    assert task.has_head
    torch.testing.assert_close(task.score(prob, logit, "product"), torch.tensor([[0.25, 0.04]]))
    torch.testing.assert_close(task.score(prob, logit, "sqrt"), torch.tensor([[0.5, 0.2]]))
    with pytest.raises(ValueError, match="the detector has none"):
        task.score(prob, None)
    with pytest.raises(ValueError, match="unified=mean: must be one of sqrt, product"):
        task.score(prob, logit, "mean")


def test_without_a_head_the_score_is_the_class_probability() -> None:
    prob = torch.rand(4, 3)
    assert not NoAuxiliary().has_head
    assert torch.equal(NoAuxiliary().score(prob, None, "sqrt"), prob)


def test_lambdas_of_each_task() -> None:
    assert (NoAuxiliary().lambda_1, NoAuxiliary(2.0).lambda_1) == (1.3, 2.0)
    assert (IoUPrediction().lambda_1, IoUPrediction().lambda_2) == (1.3, 0.5)
    assert (Centerness().lambda_1, Centerness().lambda_2) == (2.0, 1.0)
    with pytest.raises(ValueError, match="lambda_2=-1 is out of range"):
        IoUPrediction(lambda_2=-1)


@pytest.mark.parametrize("form", ["squared", "bce"])
def test_objectness_is_the_literal_one(form: str) -> None:
    """Anchor by anchor, as YOLOv2 has it: all anchors train, but those near a ground truth that is not theirs."""
    task = Objectness(lambda_2=1.0, loss=form)
    anchors, predictions, targets = scene("crowded", 4, counts=(5, 0))
    assert predictions.auxiliary is not None
    predictions.auxiliary.requires_grad_()
    assignment = ATSS()(anchors, predictions, targets)
    near = torch.where(assignment.positive.unsqueeze(-1), 0.0, predictions.deltas)  # some negatives near a ground truth
    near[0, :40] = BoxCoder().encode(targets.boxes[0, 0].expand(40, 4), anchors.boxes[:40])
    loss = Criterion(BoxCoder(), task)(replace(predictions, deltas=near), anchors, targets, assignment)["aux"]
    decoded = BoxCoder().decode(near, anchors.boxes)
    total = ignored = 0.0
    for b in range(2):
        for a, g in enumerate(assignment.gt_index[b].tolist()):
            truths = targets.boxes[b][targets.valid[b]]
            overlaps = [iou_pairs(decoded[b, a], truth).item() for truth in truths]
            p = predictions.auxiliary[b, a].sigmoid().item()
            target, weight = (overlaps[g], 5) if g >= 0 else (0.0, float(max(overlaps, default=0) <= 0.6 and g == -1))
            ignored += g == -1 and not weight
            entropy = -target * math.log(p) - (1 - target) * math.log(1 - p)
            total += weight * (entropy if form == "bce" else (p - target) ** 2 / 2)
    assert ignored
    assert loss.item() == pytest.approx(total / int(assignment.positive.sum()), rel=1e-5)
    loss.backward()
    assert predictions.auxiliary.grad is not None
    assert (predictions.auxiliary.grad[assignment.gt_index == -1] != 0).any()
