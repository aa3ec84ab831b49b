"""The separation boundaries against loops written from their definitions, and against the authors' labels."""

from __future__ import annotations

import itertools
import math

import literal_boundary as literal
import numpy as np
import pytest
import torch
from torch import Tensor

from paa.assign.boundary import B2020, FNP, FSR, A, B, C, D, Fitted, MixtureBoundary, write

RULES = {"a": A, "b": B, "b_2020": B2020, "c": C, "d": D}


@pytest.fixture(scope="module")
def sets() -> list[np.ndarray]:
    """400 sets of 0 to 45 scores, the small and the degenerate ones well represented."""
    few = [np.array(s) for s in ([], [0.4], [0.4, 0.4], [0.4, 0.5], [0.0, 9.0], [1.0, 1.0, 1.0], [1e8, 1e8], [-3.0])]
    return few + literal.score_sets(92, seed=7, least=0, most=4) + literal.score_sets(300, seed=8)


@pytest.mark.parametrize("rule", list(RULES))
def test_definition(rule: str, sets: list[np.ndarray]):
    scores, valid = literal.pad(sets)
    for empty, single, peak in itertools.product(("all", "none"), ("positive", "negative"), ("list", "subset")):
        labels = RULES[rule](empty, single, peak)(scores, valid, 0.5)
        assert labels.dtype == torch.int8
        assert (labels[~valid] == 0).all()
        for i, values in enumerate(sets):
            expected = literal.boundary(rule, values.tolist(), empty, single, peak)
            assert labels[i][valid[i]].tolist() == expected, (i, empty, single, peak)


def test_sets_reach_every_case(sets: list[np.ndarray]):
    """The comparison above would say little if no set had, say, a background candidate before the peak."""
    scores, valid = literal.pad(sets)
    fitted = C().fitted(scores, valid)
    many = valid.sum(1) > 1
    assert ((fitted.pos_peak[:, 0] < 0) & many).any()
    assert ((fitted.neg_peak[:, 0] < 0) & many).any()
    assert (fitted.neg_peak > fitted.pos_peak + 1).any()
    assert (fitted.background & (fitted.rank < fitted.pos_peak)).any()
    assert (fitted.foreground & (fitted.rank > fitted.pos_peak)).any()
    labels = {name: rule()(scores, valid) for name, rule in RULES.items()}
    for one, other in itertools.combinations(RULES, 2):
        assert not torch.equal(labels[one], labels[other])
    assert not torch.equal(labels["c"], C(pos_peak="subset")(scores, valid))


def test_worked_example():
    """Ten candidates by hand: peaks at ranks 2 and 7, component 0 up to rank 4 and again at rank 9."""
    rank = torch.arange(10)[None]
    foreground = (rank < 5) | (rank == 9)
    fields = {
        "scores": rank.double(),
        "valid": rank >= 0,
        "rank": rank,
        "foreground": foreground,
        "background": ~foreground,
        "density": torch.zeros(1, 10),
        "pos_peak": torch.tensor([[2]]),
        "neg_peak": torch.tensor([[7]]),
        "to_peak": rank <= 2,
        "mixture": C().fitted(rank.double(), rank >= 0).mixture,
    }
    fitted = Fitted(**fields)
    assert A().separate(fitted)[0].tolist() == [1, 1, 1, 1, 1, 0, 0, 0, 0, 1]
    assert B().separate(fitted)[0].tolist() == [1, 1, 1, -1, -1, -1, -1, 0, 0, 0]
    assert B2020().separate(fitted)[0].tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert C().separate(fitted)[0].tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert D().separate(fitted)[0].tolist() == [1, 1, 1, -1, -1, 0, 0, 0, 0, -1]
    early = Fitted(**(fields | {"neg_peak": torch.tensor([[3]])}))
    assert B2020().separate(early)[0].tolist() == [1, 1, 1, -1, -1, -1, 0, 0, 0, 0]


def test_equal_scores():
    scores, valid = literal.pad([np.full(9, 1.3)])
    assert int(C()(scores, valid).sum()) == 1
    assert int(A()(scores, valid).sum()) == 9


def test_a_boundary_of_your_own():
    class BetweenPeaks(MixtureBoundary):
        """Positive up to half-way between the two peaks; ignored from there to the second."""

        def separate(self, fitted: Fitted) -> Tensor:
            middle = (fitted.pos_peak + fitted.neg_peak) // 2
            return write(fitted.rank <= middle, ignored=fitted.rank < fitted.neg_peak)

    good, bad = np.linspace(0.9, 1.1, 5), np.linspace(3.0, 6.0, 15)
    scores, valid = literal.pad([np.concatenate((good, bad)), np.array([0.5]), np.empty(0)])
    boundary = BetweenPeaks()
    fitted = boundary.fitted(scores, valid)
    p, q = int(fitted.pos_peak[0]), int(fitted.neg_peak[0])
    middle = (p + q) // 2
    labels = boundary(scores, valid, 0.0)
    assert labels[0, :20].tolist() == [1] * (middle + 1) + [-1] * (q - middle - 1) + [0] * (20 - q)
    assert labels[1:].sum() == 1
    with pytest.raises(TypeError, match="separate"):
        MixtureBoundary()


@pytest.mark.parametrize("rule", [*RULES.values(), FNP, FSR])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_company_changes_nothing(rule: type, dtype: str, sets: list[np.ndarray]):
    scores, valid = literal.pad(sets)
    scores = scores.float()
    boundary = rule(em_dtype=dtype) if issubclass(rule, MixtureBoundary) else rule()
    labels = boundary(scores, valid, 0.0)
    order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(0))
    assert torch.equal(boundary(scores[order], valid[order], 0.0), labels[order])
    wide = torch.nn.functional.pad(scores, (0, 40), value=math.inf), torch.nn.functional.pad(valid, (0, 40))
    assert torch.equal(boundary(*wide, 0.0)[:, :45], labels)
    assert not boundary(*wide, 0.0)[:, 45:].any()
    assert boundary(scores[:0], valid[:0], 0.0).shape == (0, 45)
    assert boundary(scores[:, :0], valid[:, :0], 0.0).shape == (400, 0)
    if rule is not FSR:
        has = valid.any(1)
        assert torch.equal((labels == 1).any(1), has)


@pytest.mark.parametrize("n", [1, 3, 60])
def test_fnp(n: int, sets: list[np.ndarray]):
    labels = FNP(n)(*literal.pad(sets), 0.7)
    for row, values in zip(labels.tolist(), sets, strict=True):
        assert row == [1 if i < n and i < len(values) else 0 for i in range(45)]


def test_fnp_decay():
    assert [FNP(10, 1).number(p) for p in (0.0, 0.05, 0.06, 0.5, 0.94, 0.95, 1.0)] == [10, 10, 9, 6, 2, 1, 1]
    assert FNP(3, 6).number(0.5) == 5  # 4.5, and halves go up
    assert FNP(6, 3).number(0.5) == 5
    assert {FNP(5).number(p / 100) for p in range(101)} == {5}
    decay = [FNP(20, 2).number(p / 1000) for p in range(1001)]
    assert decay == sorted(decay, reverse=True)
    assert set(decay) == set(range(2, 21))


@pytest.mark.parametrize("t", [0.1, 0.3, 0.9])
def test_fsr(t: float, sets: list[np.ndarray]):
    scores, valid = literal.pad(sets)
    labels = FSR(t)(scores, valid, 0.0)
    for row, values in zip(labels.tolist(), sets, strict=True):
        expected = [1 if -x > math.log(t) else 0 for x in values]
        assert row == expected + [0] * (45 - len(values))
    assert (labels.sum(1) == 0)[valid.any(1)].any()  # a GT may be left without


def test_scope():
    assert {rule().scope for rule in RULES.values()} == {"candidates"}
    assert FNP().scope == "candidates"
    assert FSR().scope == "anchors"
    assert FSR(over="candidates").scope == "candidates"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: C(empty_foreground="some"), "empty_foreground=some: must be one of all, none"),
        (lambda: C(single="ignored"), "single=ignored: must be one of positive, negative"),
        (lambda: C(pos_peak="set"), "pos_peak=set: must be one of list, subset"),
        (lambda: C(em_dtype="float16"), "em_dtype=float16: must be one of float64, float32"),
        (lambda: FNP(0), "n=0 is out of range: must be an integer from 1 to 1000"),
        (lambda: FNP(1001), "n=1001 is out of range"),
        (lambda: FNP(3, 0), "n_end=0 is out of range: must be an integer from 1 to 1000"),
        (lambda: FSR(0.0), "t=0.0 is out of range: must be a number above 0 below 1"),
        (lambda: FSR(1), "t=1 is out of range"),
        (lambda: FSR(over="all"), "over=all: must be one of anchors, candidates"),
    ],
)
def test_wrong_arguments(build, message: str):
    with pytest.raises(ValueError, match=message):
        build()
