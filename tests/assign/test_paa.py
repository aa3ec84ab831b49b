from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from literal_paa import assign as literal_assign
from literal_paa import boundary_c, decode, match, score
from scenes import KINDS, anchors_of, scene

from paa.assign import FNP, FSR, PAA, B, C
from paa.assign.paa import Boundary
from paa.boxes import BoxCoder
from paa.structures import IGNORED, NEGATIVE, Anchors, Predictions, Targets

RULES = {
    "c": (C(), boundary_c),
    "fnp": (FNP(5), lambda scores: [1] * min(5, len(scores)) + [0] * max(0, len(scores) - 5)),
    "fsr": (FSR(0.2), lambda scores: [int(math.exp(-s) > 0.2) for s in scores]),
    "fsr_candidates": (FSR(0.2, over="candidates"), lambda scores: [int(math.exp(-s) > 0.2) for s in scores]),
}
SETTINGS: tuple[dict[str, object], ...] = (
    {},
    {"iou_floor": 0.0, "low_quality": "none", "topk": 2},
    {"low_quality": "claimed", "low_quality_at_zero": True, "topk": 1},
    {"low_quality_at_zero": True, "lambda_score": 0.3, "iou_floor": 0.4},
)


def _literally(paa: PAA, anchors: Anchors, predictions: Predictions, targets: Targets, rule: object) -> list[list[int]]:
    scores, _ = paa.score(anchors, predictions, targets)
    topk = paa.topk if paa.boundary.scope == "candidates" else None
    answer = []
    for b, gts in enumerate(targets.boxes):
        inside = anchors.inside[b].tolist()
        boxes = gts[targets.valid[b]].tolist()
        belongs = match(
            anchors.boxes.tolist(), inside, boxes, paa.iou_floor, paa.low_quality, paa.low_quality_at_zero, paa.legacy
        )
        answer.append(
            literal_assign(belongs, scores[b].tolist(), anchors.level.tolist(), inside, len(boxes), topk, rule)
        )
    return answer


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("setting", range(len(SETTINGS)))
def test_procedure_1_is_the_literal_one(name: str, setting: int) -> None:
    boundary, rule = RULES[name]
    paa = PAA(boundary, BoxCoder(), **SETTINGS[setting])  # type: ignore[arg-type]
    for seed, kind in enumerate(KINDS):
        parts = scene(kind, 100 * setting + seed, counts=(6, 0, 3), flat=seed % 3 == 2)
        assert paa(*parts).gt_index.tolist() == _literally(paa, *parts, rule), kind


def test_scores_are_focal_plus_giou_loss() -> None:
    for lambda_score, alpha, gamma in ((1.0, 0.25, 2.0), (1.3, 0.4, 1.5)):
        paa = PAA(C(), BoxCoder(), lambda_score=lambda_score, alpha=alpha, gamma=gamma)
        anchors, predictions, targets = scene("crowded", 3)
        scores, matched = paa.score(anchors, predictions, targets)
        assert scores.dtype == torch.float32
        for b in range(2):
            for a in torch.nonzero(matched[b] >= 0).flatten().tolist():
                g = int(matched[b, a])
                box = decode(predictions.deltas[b, a].tolist(), anchors.boxes[a].tolist())
                gt, label = targets.boxes[b, g].tolist(), int(targets.labels[b, g])
                right = score(predictions.logits[b, a].tolist(), box, label, gt, lambda_score, alpha, gamma)
                assert scores[b, a].item() == pytest.approx(right, rel=2e-5, abs=1e-5)


@pytest.mark.parametrize("low_quality", ["own", "claimed", "none"])
def test_every_ground_truth_with_a_candidate_has_a_positive(low_quality: str) -> None:
    paa = PAA(C(), BoxCoder(), low_quality=low_quality)
    without = 0
    for seed, kind in enumerate(KINDS * 2):
        anchors, predictions, targets = scene(kind, 50 + seed, counts=(7, 1, 4))
        answer = paa(anchors, predictions, targets)
        has_candidate = answer.extras["candidate_valid"].any(-1)
        for b in range(3):
            positives = answer.gt_index[b][answer.gt_index[b] >= 0]
            has_positive = torch.zeros_like(has_candidate[b]).index_fill_(0, positives, True)
            assert torch.equal(has_positive, has_candidate[b])
            without += int((targets.valid[b] & ~has_candidate[b]).sum())
        # a candidate is nobody else's, and of the GT that the anchor was matched to
        matched, found = answer.extras["matched"], answer.extras["candidates"]
        owner = matched.gather(1, found.flatten(1)).view_as(found)
        gt = torch.arange(found.shape[1]).view(1, -1, 1).expand_as(found)
        assert torch.equal(owner[answer.extras["candidate_valid"]], gt[answer.extras["candidate_valid"]])
    assert without > 0  # duplicates: the later one is left without


def test_one_candidate_is_positive_and_the_rest_of_the_image_negative() -> None:
    anchors, predictions, _ = scene("random", 0, counts=(1,))
    targets = Targets.pad([torch.tensor([[60.0, 60.0, 62.0, 62.0]])], [torch.tensor([0])])
    answer = PAA(C(), BoxCoder(), topk=1)(anchors, predictions, targets)
    assert answer.extras["candidate_valid"].sum() == 1
    assert (answer.gt_index == 0).sum() == 1
    assert (answer.gt_index == NEGATIVE).sum() == len(anchors.boxes) - 1


def test_an_anchor_at_the_floor_is_a_candidate() -> None:
    anchors, predictions, _ = scene("random", 0, counts=(1,), strides=(64,), scale=1.0)
    half = Targets.pad([torch.tensor([[0.0, 0, 64, 64], [64, 0, 96, 64], [0, 64, 30, 128]])], [torch.tensor([0, 1, 2])])
    matched = PAA(C(), BoxCoder(), iou_floor=0.5, low_quality="none").score(anchors, predictions, half)[1]
    assert matched.tolist() == [[0, 1, -1, -1]]


def test_anchors_over_the_padding_are_ignored_and_take_no_part() -> None:
    paa = PAA(FNP(1000), BoxCoder(), topk=1000)
    anchors, predictions, targets = scene("huge", 1, counts=(2, 2, 2))
    assert not anchors.inside.all()
    answer = paa(anchors, predictions, targets)
    assert torch.equal(answer.gt_index == IGNORED, ~anchors.inside)
    everywhere = replace(anchors, inside=torch.ones_like(anchors.inside))
    assert not (paa(everywhere, predictions, targets).gt_index == IGNORED).any()


@pytest.mark.parametrize("boundary", [C(), B(), FNP(4), FSR(0.2)], ids=lambda b: type(b).__name__)
def test_degenerate_input_is_assigned(boundary: Boundary) -> None:
    paa = PAA(boundary, BoxCoder(), low_quality_at_zero=True, roundtrip=True)
    anchors, predictions, _ = scene("random", 0, counts=(1, 1))
    nothing = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.bool))
    for empty in (nothing, Targets.pad([torch.zeros(0, 4)] * 2, [torch.zeros(0, dtype=torch.int64)] * 2)):
        answer = paa(anchors, predictions, empty)
        assert torch.equal(answer.gt_index, torch.where(anchors.inside, NEGATIVE, IGNORED))
    points = torch.tensor([[20.0, 20, 20, 20], [20, 20, 20, 20], [500, 500, 500, 500], [0, 0, 128, 0]])
    answer = paa(
        anchors, predictions, Targets.pad([points, points[:1]], [torch.zeros(4).long(), torch.zeros(1).long()])
    )
    assert answer.gt_index.shape == (2, 341)
    assert not answer.extras["scores"].isnan().any()
    none = Predictions(torch.zeros(0, 341, 4), torch.zeros(0, 341, 4))
    no_image = Targets(torch.zeros(0, 1, 4), torch.zeros(0, 1).long(), torch.zeros(0, 1).bool())
    assert paa(anchors_of([]), none, no_image).gt_index.shape == (0, 341)


def test_equal_scores_go_to_the_lowest_anchor() -> None:
    anchors, predictions, _ = scene("random", 0, counts=(1,), flat=True)
    targets = Targets.pad([torch.tensor([[40.0, 40.0, 88.0, 88.0]])], [torch.tensor([1])])
    for boundary in (C(), FNP(1)):
        answer = PAA(boundary, BoxCoder())(anchors, predictions, targets)
        scores, candidates = answer.extras["candidate_scores"][0, 0], answer.extras["candidates"][0, 0]
        tied = candidates[scores == scores[0]]
        assert len(tied) > 1
        assert tied.tolist() == sorted(tied.tolist())
    assert (answer.gt_index[0] == 0).nonzero().flatten().tolist() == [int(tied[0])]


def test_same_answer_every_time_and_nothing_to_train() -> None:
    anchors, predictions, targets = scene("crowded", 11)
    for tensor in (predictions.logits, predictions.deltas):
        tensor.requires_grad_()
    paa = PAA(C(), BoxCoder())
    first, second = (paa(anchors, predictions, targets) for _ in range(2))
    assert torch.equal(first.gt_index, second.gt_index)
    assert first.quality is first.box_weights is first.class_weights is None
    assert not any(t.requires_grad for t in (first.gt_index, *first.extras.values()))


def test_half_precision_predictions_are_scored_in_float32() -> None:
    anchors, predictions, targets = scene("random", 4)
    half = Predictions(predictions.logits.bfloat16(), predictions.deltas.bfloat16())
    same = Predictions(half.logits.float(), half.deltas.float())
    paa = PAA(C(), BoxCoder())
    assert torch.equal(paa(anchors, half, targets).extras["scores"], paa(anchors, same, targets).extras["scores"])


def test_boundary_hears_how_far_training_is() -> None:
    paa = PAA(FNP(9, n_end=1), BoxCoder())
    anchors, predictions, targets = scene("huge", 2, counts=(1,))
    positives = [int((paa(anchors, predictions, targets, t).gt_index >= 0).sum()) for t in (0.0, 0.5, 1.0)]
    assert positives == [9, 5, 1]


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("topk", 0, "topk=0 is out of range: must be an integer from 1"),
        ("iou_floor", 1.5, "iou_floor=1.5"),
        ("low_quality", "all", "must be one of own, claimed, none"),
        ("lambda_score", -1, "lambda_score=-1"),
        ("giou", "no", "must be one of add, max"),
        ("roundtrip", 1, "roundtrip=1: must be true or false"),
    ],
)
def test_arguments_out_of_range_are_refused(argument: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PAA(C(), BoxCoder(), **{argument: value})  # type: ignore[arg-type]
