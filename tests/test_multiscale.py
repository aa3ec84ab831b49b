"""Multi-scale testing against literal loops: how detections are merged, and what becomes of an image at many scales."""

from __future__ import annotations

import math

import pytest
import torch
from literal_merge import iou as literal_iou
from literal_merge import merge as literal_merge
from torch import Tensor

from paa.checks import OutOfRange
from paa.multiscale import MultiScale, leaders, mirror, mirror_images, within
from paa.structures import Detections

OFFICIAL = [400, 500, 600, 640, 700, 900, 1000, 1100, 1200, 1300, 1400, 1800]


def merge(pooled: Detections, how: str = "soft_vote", **options) -> Detections:
    return MultiScale((), merge=how, **options).merged([pooled])


def detections(boxes: Tensor, scores: Tensor, labels: Tensor | None = None) -> Detections:
    """Detections whose predicted quality is told apart by position."""
    labels = torch.zeros(len(boxes), dtype=torch.int64) if labels is None else labels
    return Detections(boxes, scores, labels, torch.linspace(0, 1, len(boxes)))


def crowd(seed: int, objects: int = 12, seen: int = 6, classes: int = 3) -> Detections:
    """Each of a few objects seen several times, a little displaced; some twice with the very same box or score."""
    draw = torch.Generator().manual_seed(seed)
    corner = torch.rand(objects, 2, generator=draw) * 150
    size = 8 + torch.rand(objects, 2, generator=draw) * 70
    whole = torch.cat((corner, corner + size), 1).repeat(seen, 1)
    boxes = whole + torch.randn(len(whole), 4, generator=draw) * size.repeat(seen, 2) * 0.06
    boxes[1::17] = boxes[0::17][: len(boxes[1::17])]
    scores = 0.05 + 0.9 * torch.rand(len(whole), generator=draw)
    scores[5::13] = scores[4::13][: len(scores[5::13])]
    labels = torch.randint(classes, (objects,), generator=draw).repeat(seen)
    shuffled = torch.randperm(len(whole), generator=draw)
    return detections(boxes[shuffled], scores[shuffled], labels[shuffled])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("how", ["soft_vote", "vote", "nms"])
@pytest.mark.parametrize("legacy", [False, True])
def test_merge_is_the_literal_loop(seed, how, legacy):
    pooled = crowd(seed)
    found = merge(pooled, how, legacy=legacy)
    expected = literal_merge(pooled, how, 0.6 if how == "nms" else 0.66, 0.05, legacy)
    assert len(found) == len(expected)
    assert len(found) < len(pooled) or how == "soft_vote"
    for i, (box, score, label, quality) in enumerate(expected):
        assert int(found.labels[i]) == label
        assert float(found.scores[i]) == pytest.approx(score, abs=1e-6)
        assert found.boxes[i].tolist() == pytest.approx(box, abs=1e-3)
        assert float(found.quality[i]) == quality


def test_a_chain_goes_to_the_best_and_not_to_the_nearest():
    """Each box overlaps the next at 0.7 and none else: the third is free as soon as the second is taken."""
    boxes = torch.tensor([[10.0 * i * 3 / 17, 0, 10 + 10.0 * i * 3 / 17, 10] for i in range(6)])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert leaders(detections(boxes, scores), 0.66, True, False).tolist() == [0, 0, 2, 2, 4, 4]
    assert leaders(detections(boxes, scores.flip(0)), 0.66, True, False).tolist() == [1, 1, 3, 3, 5, 5]
    # the best two overlap the middle one, and not one another: it is the very best one's, wherever that stands
    three = detections(boxes[:3], torch.tensor([0.8, 0.1, 0.9]))
    assert leaders(three, 0.66, True, False).tolist() == [0, 2, 2]


def test_worked_by_hand():
    """IoU 0.8 with the best: the mean by scores, and the other comes back with 0.5 x 0.2; another class stays apart."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 8], [0.0, 0, 10, 9]])
    found = merge(detections(boxes, torch.tensor([0.75, 0.5, 0.3]), torch.tensor([1, 1, 0])))
    mean = (0.75 * 10 + 0.5 * 8) / 1.25
    assert found.scores.tolist() == pytest.approx([0.75, 0.3, 0.1])
    assert found.labels.tolist() == [1, 0, 1]
    assert found.boxes.tolist() == [pytest.approx([0, 0, 10, mean]), [0, 0, 10, 9], [0, 0, 10, 8]]
    assert found.quality.tolist() == [0, 1, 0.5]
    assert len(merge(detections(boxes, torch.tensor([0.75, 0.5, 0.3]), torch.tensor([1, 1, 0])), floor=0.11)) == 2


def test_an_iou_at_the_threshold_joins_in_voting_and_stays_in_nms():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 5]])
    pair = detections(boxes, torch.tensor([0.9, 0.8]))
    assert literal_iou(*boxes.tolist(), legacy=False) == 0.5
    assert len(merge(pair, "vote", vote_iou=0.5)) == 1
    assert len(merge(pair, "vote", vote_iou=math.nextafter(0.5, 1))) == 2
    assert len(merge(pair, "nms", nms_iou=0.5)) == 2
    assert len(merge(pair, "nms", nms_iou=math.nextafter(0.5, 0))) == 1


@pytest.mark.parametrize("how", ["soft_vote", "vote", "nms"])
def test_none_and_one(how):
    none = detections(torch.zeros(0, 4), torch.zeros(0))
    assert len(merge(none, how)) == 0
    one = detections(torch.tensor([[3.0, 4, 3, 9]]), torch.tensor([0.06]))  # of no area
    for got, given in zip(vars(merge(one, how)).values(), vars(one).values(), strict=True):
        assert torch.equal(got, given)


def test_the_order_of_the_passes_plays_no_part():
    pooled = crowd(3)
    apart = detections(pooled.boxes, pooled.scores + torch.arange(len(pooled)) * 1e-4, pooled.labels)
    order = torch.randperm(len(apart), generator=torch.Generator().manual_seed(1))
    first, second = merge(apart), merge(apart[order])
    torch.testing.assert_close(first.boxes, second.boxes, rtol=0, atol=1e-4)
    assert torch.equal(first.scores, second.scores)
    assert torch.equal(first.labels, second.labels)


def test_all_that_tie_the_last_one_stay():
    boxes = torch.tensor([[20.0 * i, 0, 20 * i + 10, 10] for i in range(6)])
    scores = torch.tensor([0.5, 0.9, 0.5, 0.7, 0.5, 0.2])
    for most, left in ((1, 1), (2, 2), (3, 5), (5, 5), (6, 6)):
        assert len(merge(detections(boxes, scores), max_detections=most)) == left


def test_in_rounds_it_is_the_same():
    pooled = crowd(4)
    assert torch.equal(leaders(pooled, 0.66, True, False, largest=100), leaders(pooled, 0.66, True, False))


def test_sides_are_between_and_legacy_counts_both_edges():
    boxes = torch.tensor([[0.0, 0, 95, 95], [0.0, 0, 96, 96], [0.0, 0, 97, 97], [5.0, 5, 5, 50]])
    assert within(boxes, 96, 10000).tolist() == [False, False, True, False]
    assert within(boxes, 0, 97).tolist() == [True, True, False, False]
    assert within(boxes, 96, 10000, legacy=True).tolist() == [False, True, True, False]
    assert within(boxes, 0, 97, legacy=True).tolist() == [True, False, False, True]


def test_mirroring():
    boxes = torch.tensor([[2.0, 1, 7, 5]])
    assert mirror(boxes, 10).tolist() == [[3, 1, 8, 5]]
    assert mirror(boxes, 10, legacy=True).tolist() == [[2, 1, 7, 5]]
    images = torch.arange(2 * 3 * 4 * 6, dtype=torch.float32).view(2, 3, 4, 6)
    images[0, :, 3:], images[0, :, :, 5:] = 0, 0
    turned = mirror_images(images, torch.tensor([[3, 5], [4, 6]]))
    assert torch.equal(turned[0, :, :3, :5], images[0, :, :3, :5].flip(-1))
    assert not turned[0, :, 3:].any()
    assert not turned[0, :, :, 5:].any()
    assert torch.equal(turned[1], images[1].flip(-1))


def test_back_to_the_first_scale():
    """At scale 1, twice as wide and three times as high, mirrored: sides are measured there, of scale 0 not at all."""
    scales = MultiScale([60], sides=[[15, 100]])
    found = detections(torch.tensor([[0.0, 0, 20, 12], [10.0, 30, 40, 60]]), torch.tensor([0.9, 0.8]))
    size, first = torch.tensor([60, 80]), torch.tensor([20, 40])
    assert scales.back(found, 1, size, first, mirrored=False).boxes.tolist() == [[0, 0, 10, 4], [5, 10, 20, 20]]
    assert scales.back(found, 1, size, first, mirrored=True).boxes.tolist() == [[30, 0, 40, 4], [20, 10, 35, 20]]
    narrow = MultiScale([60], sides=[[15, 16]])
    assert len(narrow.back(found, 1, size, first, mirrored=False)) == 1
    kept = narrow.back(found, 0, first, first, mirrored=True)
    assert kept.boxes.tolist() == [[20, 0, 40, 12], [0, 30, 30, 60]]


def test_the_longer_side_follows_the_shorter():
    assert MultiScale(OFFICIAL).sizes == [(s, 1333 if s < 800 else 3000) for s in OFFICIAL]
    assert MultiScale([799, 800], longest=None, longest_large=900).sizes == [(799, None), (800, 900)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"short": 400}, "short=400: must be a list of short sides in pixels, integers from 1"),
        ({"short": [0]}, "short=0 is out of range: must be an integer from 1"),
        ({"sides": [[0, 1]]}, "sides=[[0, 1]]: must be 2 pairs [low, high], one for each of short, or null"),
        ({"sides": [[0, 1], [5, 5]]}, "sides[1]=5 is out of range: must be a number above 5"),
        ({"sides": [[0, 1], 5]}, "sides[1]=5: must be a pair [low, high]"),
        ({"longest": 399}, "longest=399 is below the short side 400 of such a scale"),
        ({"longest_large": 1000}, "longest_large=1000 is below the short side 1200 of such a scale"),
        ({"merge": "mean"}, "merge=mean: must be one of soft_vote, vote, nms"),
        ({"vote_iou": 0}, "vote_iou=0 is out of range: must be a number above 0 to 1"),
        ({"mirror": 1}, "mirror=1: must be true or false"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(OutOfRange) as caught:
        MultiScale(**{"short": [400, 1200], **arguments})
    assert str(caught.value) == message
