from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from scenes import detect
from torch import Tensor

from paa.anchors import AnchorGrid
from paa.auxiliary import Auxiliary, Centerness, IoUPrediction, NoAuxiliary
from paa.checks import OutOfRange
from paa.postprocess import PostProcess, to_original, within_top
from paa.structures import Anchors, Detections, Predictions

CLASSES = 4
SHAPES = ((8, 12), (4, 6), (2, 3), (1, 2), (1, 1))
SIZES = torch.tensor([[64, 96], [50, 81], [64, 70]])


def inputs(seed: int, ties: bool, head: bool = True, legacy: bool = False) -> tuple[Predictions, Anchors]:
    """Predictions of three images. `ties` makes a third of the scores 0.5 or 1, which every sigmoid gives exactly."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    anchors = AnchorGrid(scale=4, legacy=legacy)(SHAPES, SIZES, (64, 96), "cpu")
    count = len(anchors.boxes)
    logits, quality = draw(3, count, CLASSES) * 2 - 3, draw(3, count) * 2
    if ties:
        exact = torch.tensor([0.0, 40.0])
        for x in (logits, quality):
            some = torch.rand(x.shape, generator=generator) < 1 / 3
            x[some] = exact[torch.randint(2, x.shape, generator=generator)][some]
    return Predictions(logits, draw(3, count, 4) * 1.5, quality if head else None), anchors


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def literal_iou(a: list[float], b: list[float], one: float) -> float:
    w, h = min(a[2], b[2]) - max(a[0], b[0]) + one, min(a[3], b[3]) - max(a[1], b[1]) + one
    inter = max(w, 0) * max(h, 0)
    union = (a[2] - a[0] + one) * (a[3] - a[1] + one) + (b[2] - b[0] + one) * (b[3] - b[1] + one) - inter
    return inter / union if union > 0 else 0.0


def literal_decode(deltas: list[float], anchor: list[float], size: list[int], one: float) -> list[float]:
    w, h = anchor[2] - anchor[0] + one, anchor[3] - anchor[1] + one
    x, y = (anchor[0] + anchor[2]) / 2 + deltas[0] / 10 * w, (anchor[1] + anchor[3]) / 2 + deltas[1] / 10 * h
    w, h = w * math.exp(deltas[2] / 5), h * math.exp(deltas[3] / 5)
    box = [x - (w - one) / 2, y - (h - one) / 2, x + (w - one) / 2, y + (h - one) / 2]
    return [min(max(v, 0), size[(i + 1) % 2] - one) for i, v in enumerate(box)]


def literal(predictions: Predictions, anchors: Anchors, image: int, task: str, **o: Any) -> list[tuple[Any, ...]]:
    """One image by loops over anchors, classes and boxes: (box, score, label, quality), best first; no voting."""
    one = 1.0 if o["legacy"] else 0.0
    quality = None if predictions.auxiliary is None else [sigmoid(x) for x in predictions.auxiliary[image].tolist()]

    def unified(p: float, anchor: int) -> float:
        if task == "none" or quality is None:
            return p
        product = p * quality[anchor]
        return math.sqrt(product) if o["unified"] == "sqrt" else product

    candidates, start, rank = [], 0, 1 if o["ranked_by"] == "class" else 0
    for rows, columns in anchors.shapes:
        pairs = []
        for anchor in range(start, start + rows * columns):
            for label, logit in enumerate(predictions.logits[image, anchor].tolist()):
                p = sigmoid(logit)
                pairs.append((unified(p, anchor), p, anchor, label))
        start += rows * columns
        if o["threshold_on"] == "class":
            pairs = [pair for pair in pairs if pair[1] > 0.05]
            pairs = sorted(pairs, key=lambda pair: -pair[rank])[: o["pre_nms"]]
        else:
            best = {anchor: max(pair[rank] for pair in pairs if pair[2] == anchor) for _, _, anchor, _ in pairs}
            locations = sorted(best, key=lambda anchor: -best[anchor])[: o["pre_nms"]]
            pairs = [pair for pair in pairs if pair[2] in locations and pair[0] > 0.05]
        candidates += sorted(pairs, key=lambda pair: pair[2:])
    found: list[tuple[Any, ...]] = []
    for score, _, anchor, label in sorted(candidates, key=lambda pair: -pair[0]):
        args = (predictions.deltas[image, anchor].tolist(), anchors.boxes[anchor].tolist())
        box = literal_decode(*args, SIZES[image].tolist(), one)
        if all(label != other[2] or literal_iou(box, other[0], one) <= 0.6 for other in found):
            found.append((box, score, label, math.nan if quality is None else quality[anchor]))
    if len(found) > o["max_detections"]:
        last = found[o["max_detections"] - 1][1]
        tied = o["keep_ties"] and (lambda d: d[1] >= last)
        found = [d for d in found if tied(d)] if tied else found[: o["max_detections"]]
    return found


OPTIONS: list[dict[str, Any]] = [
    {},
    {"legacy": True},
    {"threshold_on": "unified"},
    {"threshold_on": "unified", "pre_nms": 7, "legacy": True},
    {"pre_nms": 9},
    {"pre_nms": 9, "unified": "product", "max_detections": 11},
    {"max_detections": 10, "keep_ties": False},
    {"pre_nms": 9, "ranked_by": "class"},
    {"threshold_on": "unified", "pre_nms": 7, "ranked_by": "class"},
]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(f"{k}={v}" for k, v in o.items()) or "default")
@pytest.mark.parametrize(
    ("task", "auxiliary"), [("none", NoAuxiliary()), ("iou", IoUPrediction()), ("cent", Centerness())]
)
def test_against_literal_loops(ties: bool, options: dict[str, Any], task: str, auxiliary: Auxiliary) -> None:
    full = {"legacy": False, "threshold_on": "class", "unified": "sqrt", "pre_nms": 1000, "max_detections": 100}
    full |= {"keep_ties": True, "ranked_by": "unified"} | options
    predictions, anchors = inputs(len(options) + ties, ties, head=task != "none", legacy=full["legacy"])
    found = detect(PostProcess(voting=False, **full), predictions, anchors, SIZES, auxiliary)
    assert len(found) == 3
    for i, detections in enumerate(found):
        expected = literal(predictions, anchors, i, task, **full)
        assert len(expected) > 5
        boxes, scores, labels, quality = (torch.tensor(column) for column in zip(*expected, strict=True))
        assert detections.labels.tolist() == labels.tolist()
        torch.testing.assert_close(detections.boxes, boxes, rtol=0, atol=1e-4)
        torch.testing.assert_close(detections.scores, scores, rtol=0, atol=1e-6)
        torch.testing.assert_close(detections.quality, quality, rtol=0, atol=1e-6, equal_nan=True)


def test_voting_moves_boxes_and_nothing_else() -> None:
    predictions, anchors = inputs(5, ties=False)
    postprocess = PostProcess(voting=True)
    selection = postprocess.select(predictions, anchors, SIZES, IoUPrediction())
    voted, plain = postprocess.finish(selection), postprocess.finish(selection, voting=False)
    for a, b in zip(voted, plain, strict=True):
        assert torch.equal(a.scores, b.scores)
        assert torch.equal(a.labels, b.labels)
        assert torch.equal(a.quality, b.quality)
        assert not torch.allclose(a.boxes, b.boxes, atol=0.1)
    again = detect(PostProcess(voting=False), predictions, anchors, SIZES, IoUPrediction())
    assert all(torch.equal(a.boxes, b.boxes) for a, b in zip(again, plain, strict=True))


def test_an_image_does_not_hang_on_its_neighbors() -> None:
    predictions, anchors = inputs(6, ties=False)
    postprocess = PostProcess(pre_nms=20)
    together = detect(postprocess, predictions, anchors, SIZES, IoUPrediction())
    assert predictions.auxiliary is not None
    for i, expected in enumerate(together):
        alone = Predictions(*(x[i : i + 1] for x in (predictions.logits, predictions.deltas, predictions.auxiliary)))
        (found,) = detect(postprocess, alone, anchors, SIZES[i : i + 1], IoUPrediction())
        assert found.labels.tolist() == expected.labels.tolist()
        torch.testing.assert_close(found.boxes, expected.boxes)
        torch.testing.assert_close(found.scores, expected.scores)


@pytest.mark.parametrize("threshold_on", ["class", "unified"])
def test_nothing_above_the_threshold(threshold_on: str) -> None:
    predictions, anchors = inputs(1, ties=False)
    empty = Predictions(torch.full_like(predictions.logits, -20), predictions.deltas, predictions.auxiliary)
    guided = PostProcess(threshold_on=threshold_on, nms="iou_guided")
    assert [len(image) for image in detect(guided, empty, anchors, SIZES, IoUPrediction())] == [0, 0, 0]
    found = detect(PostProcess(threshold_on=threshold_on), empty, anchors, SIZES, IoUPrediction())
    assert [len(d) for d in found] == [0, 0, 0]
    assert found[0].boxes.shape == (0, 4)


def by_hand(
    boxes: list[list[float]], scores: list[float], classes: int = 1, label: int = 0, **options: Any
) -> Detections:
    """Boxes as anchors with deltas 0, one class each, no head, through post-processing without voting."""
    logits = torch.full((1, len(boxes), classes), -20.0)
    logits[0, :, label] = torch.tensor(scores).logit()
    level = torch.zeros(len(boxes), dtype=torch.int64)
    inside = torch.ones(1, len(boxes), dtype=torch.bool)
    anchors = Anchors(torch.tensor(boxes), level, inside, ((1, len(boxes)),), (8,))
    predictions = Predictions(logits, torch.zeros(1, len(boxes), 4))
    size, original = (torch.tensor([options.pop(name, [1344, 1344])]) for name in ("size", "original"))
    (found,) = detect(PostProcess(**{"voting": False, **options}), predictions, anchors, size, NoAuxiliary(), original)
    return found


def test_suppression_is_strict() -> None:
    """At an IoU of just 0.6 both stay; above it the worse one goes."""
    assert len(by_hand([[0.0, 0, 10, 10], [0.0, 0, 10, 6]], [0.9, 0.8])) == 2
    assert len(by_hand([[0.0, 0, 10, 10], [0.0, 0, 10, 6.001]], [0.9, 0.8])) == 1
    assert len(by_hand([[0.0, 0, 9, 9], [0.0, 0, 9, 5.0]], [0.9, 0.8], legacy=True)) == 2
    assert len(by_hand([[0.0, 0, 9, 9], [0.0, 0, 9, 5.001]], [0.9, 0.8], legacy=True)) == 1


def test_boxes_may_be_measured_in_the_stored_image() -> None:
    """With the +1, two boxes of IoU 6.1 / 10 in the input have IoU 52 / 91 in an image ten times as large."""
    boxes, scores = [[0.0, 0, 9, 9], [0.0, 0, 9, 5.1]], [0.9, 0.8]
    assert len(by_hand(boxes, scores, legacy=True)) == 1
    original = [13440, 13440]
    stored = by_hand(boxes, scores, original=original, legacy=True, frame="stored")
    torch.testing.assert_close(stored.boxes, torch.tensor(boxes), rtol=1e-6, atol=1e-5)  # in pixels of the input again
    assert len(by_hand(boxes, scores, original=original, legacy=True)) == 1
    voted = [
        by_hand(boxes, scores, original=original, legacy=True, frame=frame, voting=True, nms_iou=0.9, sigma_t=0.2)
        for frame in ("input", "stored")
    ]
    assert (voted[0].boxes - voted[1].boxes).abs().max() > 0.01


@pytest.mark.parametrize("voting", [False, True])
def test_without_the_plus_one_the_frame_changes_rounding_alone(voting: bool) -> None:
    predictions, anchors = inputs(4, ties=False)
    original = torch.tensor([[333, 517], [111, 300], [640, 50]])
    here, there = (
        detect(PostProcess(frame=frame, voting=voting), predictions, anchors, SIZES, IoUPrediction(), original)
        for frame in ("input", "stored")
    )
    for a, b in zip(here, there, strict=True):
        assert torch.equal(a.labels, b.labels)
        assert torch.equal(a.scores, b.scores)
        torch.testing.assert_close(a.boxes, b.boxes, rtol=0, atol=1e-4)


def test_images_of_no_other_size_are_stored_as_the_network_sees_them() -> None:
    predictions, anchors = inputs(4, ties=False)
    stored = PostProcess(frame="stored")
    for one, other in zip(
        detect(stored, predictions, anchors, SIZES, IoUPrediction()),
        detect(stored, predictions, anchors, SIZES, IoUPrediction(), SIZES),
        strict=True,
    ):
        assert torch.equal(one.boxes, other.boxes)
        assert torch.equal(one.scores, other.scores)


@pytest.mark.parametrize("label", [0, 79])
def test_suppression_is_as_sharp_in_the_last_class(label: int) -> None:
    """Float32 would round a box of class 79, moved by 106255 pixels, to 1/128 px."""
    for height, left in ((12.001, 1), (11.999, 2)):
        boxes = [[10.0, 10, 30, 30], [10.0, 10, 30, 10 + height]]
        assert len(by_hand(boxes, [0.9, 0.8], classes=80, label=label)) == left


def test_boxes_are_cut_to_their_own_image() -> None:
    boxes = [[-5.0, -5, 200, 200]]
    assert by_hand(boxes, [0.9], size=[50, 81]).boxes.tolist() == [[0, 0, 81, 50]]
    assert by_hand(boxes, [0.9], size=[50, 81], legacy=True).boxes.tolist() == [[0, 0, 80, 49]]


def test_ties_of_the_last_place() -> None:
    boxes = [[20.0 * i, 0, 20 * i + 10, 10] for i in range(6)]
    scores = [0.5, 0.75, 0.5, 0.25, 0.5, 0.5]
    assert by_hand(boxes, scores, max_detections=2).boxes[:, 0].tolist() == [20, 0, 40, 80, 100]
    assert by_hand(boxes, scores, max_detections=2, keep_ties=False).boxes[:, 0].tolist() == [20, 0]


def test_within_top() -> None:
    values = torch.tensor([1.0, 3, 2, 3, 3, 0, 9])
    groups = torch.tensor([0, 0, 0, 1, 0, 1, 2])
    assert within_top(values, groups, 2).tolist() == [False, True, False, True, True, True, True]
    assert within_top(values, groups, 1).tolist() == [False, True, False, True, False, False, True]
    assert within_top(values[:0], groups[:0], 1).tolist() == []


def test_to_original() -> None:
    boxes = torch.tensor([[10.0, 20, 30, 60]])
    detections = Detections(boxes, torch.ones(1), torch.zeros(1), torch.ones(1))
    size, original = torch.tensor([100, 200]), torch.tensor([50, 300])
    assert to_original(detections, size, original).tolist() == [[15, 10, 30, 20]]
    assert to_original(detections, size, original, legacy=True).tolist() == [[15, 10, 31, 21]]


@pytest.mark.parametrize("threshold_on", ["class", "unified"])
def test_what_is_over_the_padding_is_dropped_as_if_it_had_said_nothing(threshold_on: str) -> None:
    predictions, anchors = inputs(3, ties=False)
    inside = torch.rand(anchors.inside.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    anchors = replace(anchors, inside=inside)
    silent = replace(predictions, logits=predictions.logits.masked_fill(~inside.unsqueeze(-1), -30.0))
    dropped = detect(
        PostProcess(threshold_on=threshold_on, padding="drop"), predictions, anchors, SIZES, IoUPrediction()
    )
    kept = PostProcess(threshold_on=threshold_on)
    expected = detect(kept, silent, anchors, SIZES, IoUPrediction())
    for one, other, all_of in zip(
        dropped, expected, detect(kept, predictions, anchors, SIZES, IoUPrediction()), strict=True
    ):
        assert torch.equal(one.boxes, other.boxes)
        assert torch.equal(one.scores, other.scores)
        assert not torch.equal(all_of.scores, one.scores)


def test_half_precision_logits() -> None:
    predictions, anchors = inputs(2, ties=False)
    assert predictions.auxiliary is not None
    half = Predictions(*(x.bfloat16() for x in (predictions.logits, predictions.deltas, predictions.auxiliary)))
    found = detect(PostProcess(), half, anchors, SIZES, IoUPrediction())
    assert all(d.boxes.dtype == d.scores.dtype == torch.float32 for d in found)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("score_threshold", 1.0, "score_threshold=1.0 is out of range: must be a number from 0 below 1"),
        ("threshold_on", "both", "threshold_on=both: must be one of class, unified"),
        ("pre_nms", 0, "pre_nms=0 is out of range"),
        ("nms_iou", 1.5, "nms_iou=1.5 is out of range"),
        ("max_detections", 2.5, "max_detections=2.5: must be an integer"),
        ("keep_ties", "yes", "keep_ties=yes: must be true or false"),
        ("ranked_by", "iou", "ranked_by=iou: must be one of unified, class"),
        ("drop_empty", 1, "drop_empty=1: must be true or false"),
        ("padding", "out", "padding=out: must be one of keep, drop"),
        ("unified", "root", "unified=root: must be one of sqrt, product"),
        ("frame", "image", "frame=image: must be one of input, stored"),
        ("voting", 1, "voting=1: must be true or false"),
        ("voting_weight", "s", "voting_weight=s: must be one of ps, p"),
        ("sigma_t", 0, "sigma_t=0 is out of range: must be a number above 0"),
        ("voting_iou", -0.1, "voting_iou=-0.1 is out of range"),
    ],
)
def test_refusals(argument: str, value: Any, message: str) -> None:
    with pytest.raises(OutOfRange, match=message.replace(".", r"\.")):
        PostProcess(**{argument: value})


def test_iou_guided_nms_is_the_literal_one() -> None:
    """Box by box: the best predicted IoU first, which takes the best score of what it drops."""
    predictions, anchors = inputs(3, ties=False)
    options = {"voting": False, "max_detections": 10_000, "score_threshold": 0.2}
    every = PostProcess(**options, nms_iou=1.0).select(predictions, anchors, SIZES, IoUPrediction())  # type: ignore[arg-type]
    guided = PostProcess(**options, nms="iou_guided", nms_iou=0.4)  # type: ignore[arg-type]
    for b, found in enumerate(detect(guided, predictions, anchors, SIZES, IoUPrediction())):
        own = range(every.offsets[b], every.offsets[b + 1])
        left, wanted = sorted(own, key=lambda i: -float(every.quality[i])), []
        while left:
            first = left[0]
            cluster = [
                i
                for i in left
                if every.labels[i] == every.labels[first]
                and (i == first or literal_iou(every.boxes[i].tolist(), every.boxes[first].tolist(), 0) > 0.4)
            ]
            wanted.append((max(float(every.scores[i]) for i in cluster), first))
            left = [i for i in left if i not in cluster]
        wanted.sort(key=lambda pair: -pair[0])
        assert 10 < len(wanted) < len(own)
        assert found.scores.tolist() == pytest.approx([score for score, _ in wanted])
        assert torch.equal(found.quality, every.quality[[i for _, i in wanted]])
