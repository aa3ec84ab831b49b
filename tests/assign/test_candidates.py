from __future__ import annotations

import torch

from paa.assign.candidates import all_of_each, best_per_level, order_key, to_gt_index

LEVEL = torch.tensor([0] * 40 + [1] * 15 + [2] * 5)


def _inputs(seed: int, ties: bool) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    scores = torch.randn(3, len(LEVEL), generator=draw)
    if ties:
        scores = (scores * 2).round() / 2
    return scores, torch.randint(-1, 4, scores.shape, generator=draw)


def _literal(scores: torch.Tensor, gt: torch.Tensor, g: int, topk: int | None) -> list[int]:
    best = []
    for level in range(3):
        mine = [a for a in range(len(LEVEL)) if gt[a] == g and LEVEL[a] == level]
        best += sorted(mine, key=lambda a: (scores[a].item(), a))[:topk]
    return sorted(best, key=lambda a: (scores[a].item(), a))


def test_order_key_has_the_order_of_the_floats() -> None:
    values = torch.tensor([-torch.inf, -3.5, -1e-40, -0.0, 0.0, 1e-40, 1e-7, 2.0, 3e38, torch.inf])
    keys = order_key(values)
    assert keys[3] == keys[4]
    assert (keys.diff() >= 0).all()
    assert len(keys.unique()) == len(values) - 1
    assert keys.abs().max() <= 2**31


def test_best_per_level_is_the_literal_one() -> None:
    for seed in range(20):
        scores, gt = _inputs(seed, ties=seed % 2 == 1)
        for topk in (1, 3, 9, 50):
            found = best_per_level(scores, gt, LEVEL, topk, 4, 3)
            assert found.index.shape == (3, 4, 3 * topk)
            for b in range(3):
                for g in range(4):
                    right = _literal(scores[b], gt[b], g, topk)
                    assert found.index[b, g][found.valid[b, g]].tolist() == right
                    assert found.valid[b, g].tolist() == [True] * len(right) + [False] * (3 * topk - len(right))
                    assert found.scores[b, g, : len(right)].tolist() == scores[b][right].tolist()
                    assert found.scores[b, g, len(right) :].isposinf().all()


def test_all_of_each_is_the_literal_one() -> None:
    for seed in range(10):
        scores, gt = _inputs(seed, ties=seed % 2 == 1)
        found = all_of_each(scores, gt, 4)
        assert found.index.shape == (3, 4, len(LEVEL))
        for b in range(3):
            for g in range(4):
                right = _literal(scores[b], gt[b], g, None)
                assert found.index[b, g][found.valid[b, g]].tolist() == right
                assert (found.scores[b, g].diff()[: len(right) - 1] >= 0).all()


def test_no_anchor_has_a_ground_truth() -> None:
    scores, gt = torch.rand(2, len(LEVEL)), torch.full((2, len(LEVEL)), -1)
    for found in (best_per_level(scores, gt, LEVEL, 9, 3, 3), all_of_each(scores, gt, 3)):
        assert not found.valid.any()
        assert (found.index == 0).all()


def test_spread_writes_each_label_to_its_anchor() -> None:
    scores, gt = _inputs(1, ties=False)
    found = best_per_level(scores, gt, LEVEL, 2, 4, 3)
    labels = torch.tensor([1, 1, 0, -1, 1, 0], dtype=torch.int8).expand(3, 4, 6)
    answer = to_gt_index(labels, found, len(LEVEL))
    expected = torch.full_like(gt, -1)
    for b in range(3):
        for g in range(4):
            for m in range(6):
                if found.valid[b, g, m]:
                    expected[b, found.index[b, g, m]] = {1: g, 0: -1, -1: -2}[int(labels[b, g, m])]
    assert torch.equal(answer, expected)
    assert answer.is_contiguous()
