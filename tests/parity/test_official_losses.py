"""Losses and gradients of the authors' code, met by ours from the same network outputs (golden arrays)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from official_arrays import Case, load, names

from paa.assign import PAA, C
from paa.auxiliary import IoUPrediction
from paa.boxes import BoxCoder
from paa.criterion import Criterion
from paa.structures import Assignment

TRAIN = names("train")
PARTS = {"cls": "loss_cls", "box": "loss_reg", "aux": "loss_iou"}


def _criterion() -> Criterion:
    return Criterion(BoxCoder(legacy=True), IoUPrediction(1.3, 0.5, legacy=True), roundtrip=True, normaliser="official")


def _losses(case: Case, assignment: Assignment) -> dict[str, torch.Tensor]:
    assert case.predictions is not None
    return _criterion()(case.predictions, case.anchors, case.targets, assignment)


def _theirs(case: Case) -> Assignment:
    return Assignment(torch.from_numpy(case.arrays["matched_gt"].astype(np.int64)))


@pytest.mark.parametrize("name", TRAIN)
def test_loss_parts_and_statistics(name: str, shared: Path) -> None:
    case = load(shared, name)
    assert case.predictions is not None
    losses = _losses(case, _theirs(case))
    for ours, theirs in PARTS.items():
        assert losses[ours].item() == pytest.approx(case.arrays[theirs].item(), rel=1e-5), ours
    found = _criterion().statistics(case.predictions, case.anchors, case.targets, _theirs(case))
    right = [case.arrays["num_pos"], case.arrays["sum_ious"], len(case.arrays["image_sizes"])]
    assert found.tolist() == pytest.approx([float(x) for x in right], rel=1e-6)


@pytest.mark.parametrize("name", TRAIN)
def test_iou_targets(name: str, shared: Path) -> None:
    case = load(shared, name)
    assert case.predictions is not None
    coder, assignment = BoxCoder(legacy=True), _theirs(case)
    boxes = case.targets.boxes.gather(1, assignment.gt_index.clamp(min=0).unsqueeze(-1).expand(-1, -1, 4))
    boxes = coder.decode(coder.encode(boxes, case.anchors.boxes), case.anchors.boxes)
    decoded = coder.decode(case.predictions.deltas.detach(), case.anchors.boxes)
    targets = IoUPrediction(legacy=True).target(decoded, boxes, case.anchors.boxes)[assignment.positive]
    np.testing.assert_allclose(targets.numpy(), case.arrays["iou_targets"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", TRAIN)
def test_gradients(name: str, shared: Path) -> None:
    case = load(shared, name)
    sum(_losses(case, _theirs(case)).values()).backward()  # type: ignore[union-attr]
    for kind, maps in case.leaves.items():
        grad = np.concatenate([m.grad.flatten().numpy() for m in maps if m.grad is not None])
        theirs = {key: case.arrays[f"grad_{kind}_{key}"] for key in ("numel", "nonzero", "abssum", "index", "value")}
        assert len(grad) == theirs["numel"]
        assert np.count_nonzero(grad) == theirs["nonzero"]
        assert np.abs(grad.astype(np.float64)).sum() == pytest.approx(float(theirs["abssum"]), rel=1e-4)
        # an entry in which large terms cancel is known no better than to the rounding of the largest ones
        least = 1e-6 * np.abs(theirs["value"]).max()
        np.testing.assert_allclose(grad[theirs["index"]], theirs["value"], rtol=1e-4, atol=least, err_msg=kind)


@pytest.mark.parametrize("name", TRAIN)
def test_loss_of_our_own_assignment(name: str, shared: Path) -> None:
    case = load(shared, name)
    arrays = case.arrays
    if ((arrays["gt_num_pos"] != arrays["gt_num_pos_f64"]) | (arrays["gt_score_gap"] < 1e-5)).any():
        pytest.skip("the float type of the fit, or rounding, decides a label in this file")
    assert case.predictions is not None
    paa = PAA(C(), BoxCoder(legacy=True), low_quality_at_zero=True, roundtrip=True, legacy=True)
    losses = _losses(case, paa(case.anchors, case.predictions, case.targets))
    for ours, theirs in PARTS.items():
        assert losses[ours].item() == pytest.approx(arrays[theirs].item(), rel=1e-5), ours
