"""Preset keys of boxes, anchors and assignment: every value has its documented effect."""

from __future__ import annotations

import math

import pytest
import torch
from lines import FAR, ROW, assigned, detected, grid, losses, matched, said, separated, truths
from lines import row as row_of


@pytest.mark.parametrize(("value", "more"), [(True, 1), (False, 0)])
def test_legacy(build, value, more):
    """The +1 applies to anchors, coder, matching, IoU target, clipping and the loading of boxes."""
    parts = build("paa", legacy=value, iou_floor=0.0, low_quality="none")
    side = 16 - more
    assert grid(parts.grid).boxes[0].tolist() == [4 - side / 2, 4 - side / 2, 4 + side / 2, 4 + side / 2]
    twice = torch.tensor([0.0, 0, 0, 5 * math.log(2)])
    low, high = parts.coder.decode(twice, ROW[0])[[1, 3]].tolist()
    assert high - low == pytest.approx(2 * (10 + more) - more)
    half = torch.tensor([[0.0, 0, 4, 10]])
    assert float(parts.auxiliary.target(half, ROW[:1], ROW[:1])) == pytest.approx((4 + more) / (10 + more))
    assert matched(parts, [0, 0, 9.5, 10]) == [0, 0 if value else -1, -1, -1]  # ends before the second anchor
    assert detected(parts, [[-9.0, -9, 99, 99]], [0.9]).boxes.tolist() == [[0, 0, 64 - more, 64 - more]]
    assert parts.config["images"]["legacy"] is value


@pytest.mark.parametrize(("value", "width"), [("upper", 10 * math.exp(-6)), ("both", 10 * 16 / 1000)])
def test_clamp(build, value, width):
    box = build("paa", clamp=value, legacy=False).coder.decode(torch.tensor([0.0, 0, -30, 30]), ROW[0])
    assert (box[2] - box[0]).item() == pytest.approx(width, rel=1e-4)
    assert (box[3] - box[1]).item() == pytest.approx(10 * 1000 / 16)


@pytest.mark.parametrize(("value", "wide"), [(True, 625), (False, 1000)])
def test_roundtrip(build, value, wide):
    """A ground truth 100 times as wide as its anchor is decoded 62.5 times as wide, in loss and score."""
    parts, box = build("paa", roundtrip=value, legacy=False), [-495.0, 0, 505, 10]
    assert losses(parts, box)["box"] == pytest.approx(1.3 * (1 - 10 / wide), rel=1e-4)
    same = [0.0, 0, 10, 10]
    score, without = (float(parts.assigner.score(row_of(), said(), truths(b))[0][0, 0]) for b in (box, same))
    assert score - without == pytest.approx(1 - 10 / wide, rel=1e-4)


@pytest.mark.parametrize(("value", "middle"), [(0.5, 4.0), (0.0, 0.0)])
def test_center(build, value, middle):
    first = grid(build("paa", center=value).grid).boxes[0]
    assert ((first[:2] + first[2:]) / 2).tolist() == [middle, middle]


@pytest.mark.parametrize(("value", "finest"), [("negative", 64), ("out_32", 16), ("out", 4)])
def test_padding(build, value, finest):
    """Of 8 x 8 cells on the finest level an image of 20 x 20 pixels has 2 x 2 centers, and 4 x 4 cells at 32 x 32."""
    assert int(grid(build("paa", padding=value).grid, (20, 20)).inside[0, :64].sum()) == finest


@pytest.mark.parametrize(("value", "second"), [(0.1, -1), (0.0, 0)])
def test_iou_floor(build, value, second):
    """The second anchor overlaps by 1 / 20; the others overlap nothing, and belong to none at any floor."""
    parts = build("paa", iou_floor=value, low_quality="none", legacy=False)
    assert matched(parts, [0, 0, 11, 10]) == [0, second, -1, -1]


@pytest.mark.parametrize(("value", "first_two"), [("own", [0, 0]), ("claimed", [0, 1]), ("none", [0, 0])])
def test_low_quality(build, value, first_two):
    """The second anchor is the best of the second ground truth, and itself overlaps the first more."""
    parts = build("paa", low_quality=value, low_quality_at_zero=False, legacy=False)
    assert matched(parts, [0, 0, 19, 10], [12, 0, 14, 10]) == [*first_two, -1, -1]
    assert matched(parts, [0, 0, 10, 0.5]) == [-1 if value == "none" else 0, -1, -1, -1]  # an IoU of 0.05, its best


@pytest.mark.parametrize("value", [True, False])
def test_low_quality_at_zero(build, value):
    assert matched(build("paa", low_quality_at_zero=value), FAR) == ([0] * 4 if value else [-1] * 4)
    other = build("paa", baseline_low_quality_at_zero=not value, low_quality_at_zero=value)
    assert matched(other, FAR) == ([0] * 4 if value else [-1] * 4)


@pytest.mark.parametrize(("value", "first_two"), [("own", [0, 0]), ("claimed", [0, 1]), ("none", [0, -2])])
def test_baseline_low_quality(build, value, first_two):
    """As above; the second anchor's IoU with the first ground truth is 0.45, between negative and positive."""
    parts = build("max_iou", baseline_low_quality=value, legacy=False)
    assert assigned(parts, [0, 0, 19, 10], [12, 0, 14, 10])[:2] == first_two


@pytest.mark.parametrize("value", [True, False])
def test_baseline_low_quality_at_zero(build, value):
    parts = build("max_iou", baseline_low_quality_at_zero=value, low_quality_at_zero=not value)
    assert assigned(parts, FAR) == ([0] * 4 if value else [-1] * 4)


def test_lambda_score(build):
    """The two scores of a pair differ by 0.3 of its GIoU loss, 1 - 1 / 3."""
    score = {}
    for value in (1.0, 1.3):
        parts = build("paa", lambda_score=value, legacy=False)
        score[value] = float(parts.assigner.score(row_of(), said(), truths([5.0, 0, 15, 10]))[0][0, 0])
    assert score[1.3] - score[1.0] == pytest.approx(0.3 * (1 - 1 / 3), rel=1e-4)


@pytest.mark.parametrize(("value", "label"), [("all", 1), ("none", 0)])
def test_empty_foreground(build, value, label):
    """The posterior gives all three to component 1."""
    assert separated(build("paa", empty_foreground=value), 1.3, 1.301, 1.301) == [label] * 3


@pytest.mark.parametrize(("value", "label"), [("positive", 1), ("negative", 0)])
def test_single(build, value, label):
    assert separated(build("paa", single=value), 0.7) == [label]


def test_pos_peak(build):
    """The posterior gives candidates before the peak of component 0 to component 1, which lies around it."""
    scores = (1.3, 2.4, 2.4, 2.4, 2.5, 3.7)
    whole, subset = (separated(build("paa", pos_peak=value), *scores) for value in ("list", "subset"))
    assert sum(whole) > sum(subset) > 0
    assert all(a >= b for a, b in zip(whole, subset, strict=True))


def test_the_slip_of_2020_is_a_boundary_of_its_own(build):
    with_slip, present = (build(base).assigner.boundary for base in ("slip", "paa"))
    assert type(with_slip).__name__ == "B2020"
    assert type(present).__name__ == "C"
    scores = torch.tensor([[0.1, 0.2, 0.3, 0.4, 2.0, 2.1, 2.2, 2.3, 2.4, 2.5]], dtype=torch.float64)
    valid = torch.ones_like(scores, dtype=torch.bool)
    assert not torch.equal(with_slip(scores, valid), present(scores, valid))
