"""What is taken from another detector, what starts fresh, and what is refused by name."""

from __future__ import annotations

import pytest
import torch

from paa.checks import OutOfRange
from paa.detector import FPN, Detector, Head, Tiny
from paa.engine.initialize import initialize


def build(classes: int = 3, auxiliary: bool = True, depth: int = 1, seed: int = 0, width: int = 16) -> Detector:
    torch.manual_seed(seed)
    backbone = Tiny(widths=(8, 16, 16, 24), depths=(0, 1, 1, 1))
    return Detector(backbone, FPN(backbone.out_channels, width), Head(width, classes, depth=depth, auxiliary=auxiliary))


def taken_from(detector: Detector, source: Detector) -> set[str]:
    """Names of which `detector` now holds the tensors of `source`."""
    theirs = source.state_dict()
    return {
        name for name, value in detector.state_dict().items() if name in theirs and torch.equal(value, theirs[name])
    }


def test_the_same_form_is_taken_whole() -> None:
    source, detector = build(seed=1), build(seed=2)
    assert initialize(detector, source.state_dict(), "here") == ([], [])
    assert taken_from(detector, source) == set(source.state_dict())


@pytest.mark.parametrize(("classes", "same"), [(5, None), (5, False), (3, False)])
def test_logits_of_other_classes_start_fresh(classes: int, same: bool | None) -> None:
    source, detector = build(classes=3, seed=1), build(classes=classes, seed=2)
    with torch.no_grad():
        source.head.cls_logits.bias.add_(1)  # type: ignore[operator, union-attr]
    fresh = {name: value.clone() for name, value in detector.head.cls_logits.state_dict().items()}  # type: ignore[union-attr]
    logits = ["head.cls_logits.bias", "head.cls_logits.weight"]
    assert initialize(detector, source.state_dict(), "here", same) == (logits, [])
    assert taken_from(detector, source) == set(source.state_dict()) - set(logits)
    for name, value in detector.head.cls_logits.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(value, fresh[name])


def test_the_auxiliary_branch_may_be_there_on_one_side() -> None:
    branch = ["head.iou_pred.bias", "head.iou_pred.weight"]
    with_it, without = build(seed=1), build(auxiliary=False, seed=2)
    assert initialize(without, with_it.state_dict(), "here") == ([], branch)
    assert initialize(build(seed=3), without.state_dict(), "here") == (branch, [])


def test_everything_else_is_refused_by_name() -> None:
    state = build(depth=2).state_dict()
    with pytest.raises(OutOfRange) as caught:
        initialize(build(depth=1), state, "here")
    assert caught.value.name == "weights"
    assert caught.value.problem.startswith("=here: not the weights of this detector; surplus: head.bbox_tower.3.bias, ")
    del state["head.scales"]
    with pytest.raises(OutOfRange, match=r"; missing: head\.scales$"):
        initialize(build(depth=2), state, "here")
    with pytest.raises(OutOfRange, match=r"; of another shape: .*fpn.lateral.0.bias, .* and [0-9]+ more$"):
        initialize(build(width=32), build(width=16).state_dict(), "here")
    bare = {name: value for name, value in build().state_dict().items() if name.startswith("backbone.")}
    with pytest.raises(OutOfRange, match=r"missing: fpn\.lateral\.0\.bias, .*more, head.cls_logits|missing: fpn"):
        initialize(build(), bare, "here")


def test_a_refusal_leaves_the_detector_alone() -> None:
    detector, source = build(depth=1, seed=2), build(depth=2, seed=1)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    with pytest.raises(OutOfRange):
        initialize(detector, source.state_dict(), "here")
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())
