from __future__ import annotations

import pytest
import torch
from literal_paa import match as literal_match
from scenes import KINDS, scene

from paa.assign.matching import LOW_QUALITY, gather_targets, match, non_empty
from paa.structures import Anchors, Targets

ROW = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10], [20, 0, 30, 10], [30, 0, 40, 10]])


def _anchors(inside: list[bool] | None = None) -> Anchors:
    is_in = torch.tensor([inside or [True] * 4])
    return Anchors(ROW, torch.zeros(4, dtype=torch.int64), is_in, ((1, 4),), (10,))


def _targets(*boxes: tuple[float, float, float, float]) -> Targets:
    return Targets.pad([torch.tensor(boxes)], [torch.arange(len(boxes))])


def test_own_and_claimed_differ_where_an_anchor_is_best_for_a_smaller_overlap() -> None:
    # GT 0 covers anchors 0 and 1 nearly whole; GT 1 touches only anchor 1, less than GT 0 does
    targets = _targets((0, 0, 19, 10), (12, 0, 14, 10))
    own = match(_anchors(), targets, "own")
    assert own.gt.tolist() == [[0, 0, 0, 0]]
    assert own.low.tolist() == [[True, True, False, False]]  # 1 ties the best IoU of GT 1
    assert own.iou[0].tolist() == pytest.approx([10 / 19, 9 / 20, 0, 0])
    claimed = match(_anchors(), targets, "claimed")
    assert claimed.gt.tolist() == [[0, 1, 0, 0]]
    assert claimed.low.tolist() == [[True, True, False, False]]
    assert not match(_anchors(), targets, "none").low.any()


def test_every_anchor_that_ties_is_a_low_quality_match() -> None:
    assert match(_anchors(), _targets((8, 0, 12, 10))).low.tolist() == [[True, True, False, False]]


def test_a_ground_truth_that_no_anchor_overlaps_pulls_in_all_only_at_zero() -> None:
    targets = _targets((0, 0, 10, 10), (100, 100, 110, 110))
    assert match(_anchors(), targets, at_zero=False).low.tolist() == [[True, False, False, False]]
    assert match(_anchors(), targets, at_zero=True).low.all()
    claimed = match(_anchors(), targets, "claimed", at_zero=True)
    assert claimed.gt.tolist() == [[1, 1, 1, 1]]  # the later GT overwrites


def test_anchors_outside_neither_match_nor_set_the_best() -> None:
    found = match(_anchors([False, True, True, True]), _targets((0, 0, 14, 10)))
    assert found.iou[0, 0] == -1
    assert found.low.tolist() == [[False, True, False, False]]


@pytest.mark.parametrize("low_quality", LOW_QUALITY)
@pytest.mark.parametrize("at_zero", [False, True])
def test_matching_is_the_literal_one(low_quality: str, at_zero: bool) -> None:
    for seed, kind in enumerate(KINDS):
        for legacy in (False, True):
            anchors, _, targets = scene(kind, seed, (5, 0, 3), legacy=legacy)
            found = match(anchors, targets, low_quality, at_zero, legacy)
            eligible = (found.iou >= 0.1) | found.low
            for b in range(3):
                gts = targets.boxes[b][targets.valid[b]].tolist()
                right = literal_match(
                    anchors.boxes.tolist(), anchors.inside[b].tolist(), gts, 0.1, low_quality, at_zero, legacy
                )
                assert found.gt[b].where(eligible[b], -1).tolist() == right, kind


def test_no_ground_truth_at_all() -> None:
    empty = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.bool))
    targets = non_empty(empty)
    assert targets.boxes.shape == (2, 1, 4)
    assert not targets.valid.any()
    anchors = Anchors(ROW, torch.zeros(4, dtype=torch.int64), torch.ones(2, 4, dtype=torch.bool), ((1, 4),), (10,))
    found = match(anchors, targets, at_zero=True)
    assert (found.iou == -1).all()
    assert not found.low.any()


def test_gather_targets_reads_the_first_for_negative_indices() -> None:
    targets = _targets((0, 0, 1, 1), (2, 2, 3, 3))
    boxes, labels = gather_targets(targets, torch.tensor([[1, -1, 0, -2]]))
    assert boxes[0, :, 0].tolist() == [2, 0, 0, 0]
    assert labels.tolist() == [[1, 0, 0, 0]]
