from __future__ import annotations

import statistics

import pytest
import torch
from literal_paa import iou
from scenes import KINDS, anchors_of, scene

from paa.assign import ATSS
from paa.structures import IGNORED, NEGATIVE, Anchors, Predictions, Targets


def _literal(anchors: Anchors, inside: list[bool], gts: list[list[float]], topk: int) -> tuple[list[int], set[int]]:
    """gt_index by loops, and the anchors whose IoU is too near to the threshold to ask for."""
    boxes, level = anchors.boxes.tolist(), anchors.level.tolist()
    center = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in boxes]
    answer, best, doubtful = [NEGATIVE] * len(boxes), [-1.0] * len(boxes), set()
    for g, gt in enumerate(gts):
        x, y = (gt[0] + gt[2]) / 2, (gt[1] + gt[3]) / 2
        candidates: list[int] = []
        for this in sorted(set(level)):
            mine = [a for a in range(len(boxes)) if level[a] == this and inside[a]]
            mine.sort(key=lambda a: ((center[a][0] - x) ** 2 + (center[a][1] - y) ** 2, a))
            candidates += mine[:topk]
        ious = [iou(boxes[a], gt) for a in candidates]
        if not ious:
            continue
        threshold = statistics.mean(ious) + (statistics.stdev(ious) if len(ious) > 1 else 0.0)
        for a, overlap in zip(candidates, ious, strict=True):
            cx, cy = center[a]
            is_in = min(cx - gt[0], cy - gt[1], gt[2] - cx, gt[3] - cy) > 0.01
            if abs(overlap - threshold) < 1e-6:
                doubtful.add(a)
            if overlap >= threshold and is_in and overlap > best[a]:
                answer[a], best[a] = g, overlap
    return [g if is_in else IGNORED for g, is_in in zip(answer, inside, strict=True)], doubtful


@pytest.mark.parametrize("topk", [1, 9])
def test_assignment_is_the_literal_one(topk: int) -> None:
    positives = 0
    for seed, kind in enumerate(KINDS * 2):
        anchors, _, targets = scene(kind, seed, counts=(6, 0, 4))
        answer = ATSS(topk)(anchors, None, targets, 0.0).gt_index  # type: ignore[arg-type]
        for b in range(3):
            gts = targets.boxes[b][targets.valid[b]].tolist()
            right, doubtful = _literal(anchors, anchors.inside[b].tolist(), gts, topk)
            for a in range(len(right)):
                if a not in doubtful:
                    assert answer[b, a] == right[a], (kind, a)
                    positives += right[a] >= 0
    assert positives > 20


def test_ties_of_distance_go_to_the_lowest_anchor() -> None:
    anchors = anchors_of([(128, 128)])
    targets = Targets.pad([torch.tensor([[32.0, 32.0, 96.0, 96.0]])], [torch.tensor([0])])
    answer = ATSS(topk=1)(anchors, None, targets, 0.0)  # type: ignore[arg-type]
    # the center of the box is a corner of four cells on every level but the coarsest
    lowest = [0 + 7 * 16 + 7, 256 + 3 * 8 + 3, 320 + 1 * 4 + 1, 336, 340]
    assert answer.extras["candidates"][0, 0].tolist() == lowest


def test_an_anchor_that_two_want_goes_to_the_one_it_overlaps_most() -> None:
    anchors = anchors_of([(128, 128)])
    small, large = [40.0, 40.0, 88.0, 88.0], [36.0, 36.0, 92.0, 92.0]
    for boxes in ([small, large], [large, small]):
        targets = Targets.pad([torch.tensor(boxes)], [torch.tensor([0, 1])])
        answer = ATSS()(anchors, None, targets, 0.0).gt_index[0]  # type: ignore[arg-type]
        assert set(answer[answer >= 0].tolist()) == {boxes.index(large)}
    twins = Targets.pad([torch.tensor([small, small])], [torch.tensor([0, 1])])
    answer = ATSS()(anchors, None, twins, 0.0).gt_index[0]  # type: ignore[arg-type]
    assert set(answer[answer >= 0].tolist()) == {0}


def test_degenerate_input_is_assigned() -> None:
    anchors = anchors_of([(128, 128), (128, 100)])
    empty = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0).long(), torch.zeros(2, 0).bool())
    predictions = Predictions(torch.zeros(2, 341, 1), torch.zeros(2, 341, 4))
    answer = ATSS()(anchors, predictions, empty, 0.0).gt_index
    assert torch.equal(answer, torch.where(anchors.inside, NEGATIVE, IGNORED))
    points = Targets.pad([torch.full((1, 4), 9.0), torch.full((1, 4), 999.0)], [torch.zeros(1).long()] * 2)
    assert not (ATSS()(anchors, predictions, points, 0.0).gt_index >= 0).any()
    nowhere = Anchors(anchors.boxes, anchors.level, torch.zeros_like(anchors.inside), anchors.shapes, anchors.strides)
    assert (ATSS()(nowhere, predictions, points, 0.0).gt_index == IGNORED).all()


def test_topk_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="topk=0"):
        ATSS(topk=0)
