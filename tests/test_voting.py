from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from paa.checks import OutOfRange
from paa.voting import score_voting


def boxes_of(n: int, generator: torch.Generator, side: float = 60) -> Tensor:
    corner = torch.rand(n, 2, generator=generator) * 40
    return torch.cat((corner, corner + 5 + torch.rand(n, 2, generator=generator) * side), 1)


def literal_iou(a: list[float], b: list[float], one: float) -> float:
    w = min(a[2], b[2]) - max(a[0], b[0]) + one
    h = min(a[3], b[3]) - max(a[1], b[1]) + one
    inter = max(w, 0) * max(h, 0)
    areas = [(x[2] - x[0] + one) * (x[3] - x[1] + one) for x in (a, b)]
    return inter / (sum(areas) - inter)


def literal(kept, labels, all_boxes, all_labels, all_scores, sigma_t, threshold, weight, legacy):  # type: ignore[no-untyped-def]
    """One box, one neighbor, one coordinate at a time, as section 3.3 of the paper reads."""
    out = []
    for b, c in zip(kept.tolist(), labels.tolist(), strict=True):
        above, below = [0.0] * 4, 0.0
        for b_i, c_i, s_i in zip(all_boxes.tolist(), all_labels.tolist(), all_scores.tolist(), strict=True):
            iou = literal_iou(b, b_i, 1.0 if legacy else 0.0)
            if c_i == c and iou > threshold:
                p = math.exp(-((1 - iou) ** 2) / sigma_t) * (s_i if weight == "ps" else 1)
                below += p
                above = [x + p * y for x, y in zip(above, b_i, strict=True)]
        out.append([x / below for x in above])
    return torch.tensor(out)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weight", ["ps", "p"])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(("sigma_t", "threshold"), [(0.025, 0.01), (0.0025, 0.0), (0.5, 0.4)])
def test_against_a_literal_loop(seed: int, weight: str, legacy: bool, sigma_t: float, threshold: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    boxes = boxes_of(60, generator)
    labels = torch.randint(3, (60,), generator=generator)
    scores = torch.rand(60, generator=generator).clamp(min=0.05)
    kept = torch.randperm(60, generator=generator)[:15]
    expected = literal(boxes[kept], labels[kept], boxes, labels, scores, sigma_t, threshold, weight, legacy)
    options = {"sigma_t": sigma_t, "voting_iou": threshold, "voting_weight": weight, "legacy": legacy}
    found = score_voting(boxes[kept], labels[kept], boxes, labels, scores, **options)  # type: ignore[arg-type]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    rounds = score_voting(boxes[kept], labels[kept], boxes, labels, scores, largest=130, **options)  # type: ignore[arg-type]
    torch.testing.assert_close(rounds, found, rtol=0, atol=1e-6)


def test_worked_by_hand() -> None:
    """IoU 0.5 with one neighbor of the same class; a better one of another class has no vote."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 5], [0.0, 0, 9, 10]])
    labels, scores = torch.tensor([1, 1, 0]), torch.tensor([0.8, 0.4, 0.9])
    p = math.exp(-0.25 / 0.025)
    y2 = (0.8 * 10 + 0.4 * p * 5) / (0.8 + 0.4 * p)
    found = score_voting(boxes[:1], labels[:1], boxes, labels, scores)
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0, 10.0, y2]]))


def test_alone_it_stays() -> None:
    boxes, label, score = torch.tensor([[3.0, 4, 50.5, 60.25]]), torch.tensor([2]), torch.tensor([0.06])
    assert torch.equal(score_voting(boxes, label, boxes, label, score), boxes)


def test_a_box_of_no_area_stays() -> None:
    boxes = torch.tensor([[0.0, 7, 0, 9], [0.0, 0, 10, 10]])
    labels, scores = torch.zeros(2, dtype=torch.int64), torch.tensor([0.9, 0.5])
    assert torch.equal(score_voting(boxes[:1], labels[:1], boxes, labels, scores), boxes[:1])


def test_votes_are_cast_by_the_boxes_as_they_were() -> None:
    """All kept boxes move at once: the order of the kept boxes plays no part."""
    generator = torch.Generator().manual_seed(9)
    boxes, labels = boxes_of(30, generator), torch.zeros(30, dtype=torch.int64)
    scores = torch.rand(30, generator=generator)
    kept = torch.arange(8)
    found = score_voting(boxes[kept], labels[kept], boxes, labels, scores)
    back = score_voting(boxes[kept].flip(0), labels[kept], boxes, labels, scores)
    torch.testing.assert_close(back.flip(0), found)


def test_unknown_weight() -> None:
    boxes, label = torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64)
    with pytest.raises(OutOfRange, match="voting_weight=sp: must be one of ps, p"):
        score_voting(boxes, label, boxes, label, torch.ones(1), voting_weight="sp")
