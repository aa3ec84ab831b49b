from __future__ import annotations

import pytest
import torch
from literal_paa import iou
from scenes import KINDS, scene

from paa.assign import MaxIoU
from paa.structures import IGNORED, NEGATIVE, Anchors, Targets

ROW = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10], [20, 0, 30, 10], [30, 0, 40, 10]])
ANCHORS = Anchors(ROW, torch.zeros(4, dtype=torch.int64), torch.ones(1, 4, dtype=torch.bool), ((1, 4),), (10,))


def _assign(assigner: MaxIoU, *boxes: tuple[float, float, float, float]) -> list[int]:
    targets = Targets.pad([torch.tensor(boxes).view(-1, 4)], [torch.zeros(len(boxes), dtype=torch.int64)])
    return assigner(ANCHORS, None, targets, 0.0).gt_index[0].tolist()  # type: ignore[arg-type]


def test_thresholds_by_hand() -> None:
    # IoUs with the anchors: 1/2 exactly; 9/20; 0.4 exactly; none
    plain = MaxIoU(low_quality="none")
    assert _assign(plain, (0, 0, 10, 5)) == [0, -1, -1, -1]
    assert _assign(plain, (0, 0, 10, 4.5)) == [IGNORED, -1, -1, -1]
    assert _assign(plain, (0, 0, 10, 4)) == [IGNORED, -1, -1, -1]
    assert _assign(plain, (0, 0, 10, 3.9)) == [NEGATIVE, -1, -1, -1]
    assert _assign(MaxIoU(), (0, 0, 10, 3.9)) == [0, -1, -1, -1]
    assert _assign(MaxIoU()) == [-1, -1, -1, -1]


def test_a_low_quality_match_stays_with_its_own_best_or_goes_to_who_claims_it() -> None:
    gts = ((0, 0, 19, 10), (12, 0, 14, 10))
    assert _assign(MaxIoU(low_quality="own"), *gts) == [0, 0, -1, -1]
    assert _assign(MaxIoU(low_quality="claimed"), *gts) == [0, 1, -1, -1]


def test_center_inside_ignores_positives_whose_center_is_not() -> None:
    gt = (0, 0, 10, 5)  # the center of anchor 0 lies on its edge
    assert _assign(MaxIoU(center_inside=True), gt) == [IGNORED, -1, -1, -1]
    assert _assign(MaxIoU(center_inside=True), (0, 0, 10, 5.02)) == [0, -1, -1, -1]


def test_thresholds_are_the_literal_ones() -> None:
    for seed, kind in enumerate(KINDS):
        anchors, _, targets = scene(kind, seed, counts=(5, 0, 3))
        answer = MaxIoU(low_quality="none")(anchors, None, targets, 0.0).gt_index  # type: ignore[arg-type]
        for b in range(3):
            gts = targets.boxes[b][targets.valid[b]].tolist()
            for a, anchor in enumerate(anchors.boxes.tolist()):
                ious = [iou(gt, anchor) for gt in gts] or [0.0]
                best = max(ious)
                right = ious.index(best) if best >= 0.5 else IGNORED if best >= 0.4 else NEGATIVE
                if abs(best - 0.4) > 1e-6:  # 0.4 itself is not the same number in float32
                    assert answer[b, a] == (right if anchors.inside[b, a] else IGNORED), kind


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"negative_iou=0\.6 is out of range: must be a number from 0 to 0\.5"):
        MaxIoU(negative_iou=0.6)
    with pytest.raises(ValueError, match="positive_iou=0"):
        MaxIoU(positive_iou=0)
