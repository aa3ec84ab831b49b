"""`check_boundary`: the package's own boundaries keep the promises, and each broken promise gets its line."""

from __future__ import annotations

import pytest
import torch

from paa.assign import FNP, FSR, A, B, BoundaryError, C, D, check_boundary
from paa.assign.boundary import MixtureBoundary, write


@pytest.mark.parametrize("boundary", [A(), B(pos_peak="subset"), C(), D(), FNP(5, 2)], ids=lambda b: type(b).__name__)
def test_the_package_s_boundaries_keep_the_promises(boundary):
    check_boundary(boundary)


@pytest.mark.parametrize("over", ["anchors", "candidates"])
def test_fsr_keeps_all_but_that_each_ground_truth_gets_a_positive(over):
    check_boundary(FSR(0.3, over), every_gt_positive=False)
    with pytest.raises(
        BoundaryError, match=r"^FSR: leaves a ground truth that has candidates without a positive \(on "
    ):
        check_boundary(FSR(0.3, over))


class Best:
    """The best candidate."""

    scope = "candidates"

    def __call__(self, scores, valid, progress=0.0):
        return write(valid & (torch.arange(scores.shape[1]) < 1))


class Random(Best):
    def __call__(self, scores, valid, progress=0.0):
        return write(valid & ((torch.rand(scores.shape) < 0.5) | (torch.arange(scores.shape[1]) < 1)))


def broken(rule):
    """A boundary that does what `rule` says."""
    return type("Broken", (Best,), {"__call__": lambda self, scores, valid, progress=0.0: rule(scores, valid)})()


def sorts_in_place(scores, valid):
    scores.clamp_(max=1)
    return write(valid)


RULES = {
    "returns a NoneType, must return a tensor": lambda s, v: None,
    "labels have the shape [16], must have that of the scores": lambda s, v: write(v.any(1)),
    "labels are torch.bool, must be torch.int8": lambda s, v: v,
    "labels are torch.int64, must be torch.int8": lambda s, v: v.long(),
    "labels of [2], must be 1 (positive), 0 (negative) or -1": lambda s, v: write(v) * 2,
    "labels the padding, which must be 0": lambda s, v: write(s >= s[:, :1]),
    "changes its arguments": sorts_in_place,
    "leaves a ground truth that has candidates without a positive": lambda s, v: write(v & (s < 0.5)),
    "labels of a ground truth depend on the others": lambda s, v: write(
        v & ((torch.arange(s.shape[1]) < 1) | (s < s.where(v, 0).mean()))
    ),
    "labels change with the width of the padding": lambda s, v: write(v & (torch.arange(s.shape[1]) < s.shape[1] / 9)),
}


class Refusing(MixtureBoundary):
    """Separates nothing."""

    def separate(self, fitted):
        raise LookupError("no such rule")


@pytest.mark.parametrize("message", RULES)
def test_a_broken_promise_is_told_in_one_line(message):
    with pytest.raises(BoundaryError) as error:
        check_boundary(broken(RULES[message]))
    assert str(error.value).startswith(f"Broken: {message}")
    assert "\n" not in str(error.value)
    assert " scores [" in str(error.value)


def test_an_exception_is_told_with_the_case_and_is_the_cause():
    with pytest.raises(BoundaryError, match=r"^Broken raises on a single candidate, scores \[16, 1\]") as error:
        check_boundary(broken(lambda s, v: write(v & (s <= s[:, [1]].clamp(max=0) + s[:, :1]))))
    assert isinstance(error.value.__cause__, IndexError | RuntimeError)


@pytest.mark.parametrize("scope", [None, "boxes"])
def test_it_must_say_what_it_wants_to_see(scope):
    boundary = Best()
    boundary.scope = scope
    with pytest.raises(BoundaryError, match=rf"^Best\.scope={scope}: must be one of candidates, anchors$"):
        check_boundary(boundary)


def test_a_boundary_may_draw_at_random():
    check_boundary(Random())


def test_nothing_global_is_drawn_and_a_mixture_s_base_is_tried_as_well():
    before = torch.random.get_rng_state()
    check_boundary(Best())
    assert torch.equal(before, torch.random.get_rng_state())
    with pytest.raises(BoundaryError, match="raises on ordinary candidates") as error:
        check_boundary(Refusing())
    assert isinstance(error.value.__cause__, LookupError)
