"""Assignments of the authors' code, met by `compat=official` from the same network outputs (golden arrays)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from composed import anchors_of, assign, parts
from differences import Differences
from official_arrays import Case, load, names, read

from paa.structures import Assignment, Predictions

TRAIN, ASSIGN = names("train"), names("assign")
UNUSED = Predictions(torch.empty(0), torch.empty(0))
AUTHORS = "official, the authors' code"


def step(case: Case) -> Assignment:
    return assign(case.built, case.anchors, case.predictions, case.targets)


def labels_of(case: Case, gt_index: torch.Tensor) -> np.ndarray:
    """1-based labels, 0 background, -1 ignored."""
    labels = case.targets.labels.gather(1, gt_index.clamp(min=0)) + 1
    return torch.where(gt_index >= 0, labels, torch.where(gt_index == -2, -1, 0)).numpy()


@pytest.mark.parametrize("name", names("anchors"))
def test_anchors(name: str) -> None:
    arrays = read(name)
    h, w = (int(n) for n in arrays["padded_size"])
    assert np.array_equal(
        anchors_of(parts("official"), torch.tensor([[h, w]]), (h, w)).boxes.numpy(), arrays["anchors"]
    )


@pytest.mark.parametrize("name", TRAIN)
def test_anchors_are_matched_and_scored_alike(name: str, differences: Differences) -> None:
    case = load(name)
    extras = step(case).extras
    matched = extras["matched"]
    wrong = int((matched.numpy() != case.arrays["matched_idxs"]).sum())
    differences.share(AUTHORS, "ground truth of an anchor", wrong, matched.numel())
    assert wrong <= case.arrays["fragile_iou_count"], f"{wrong} anchors belong to another ground truth"
    labels = labels_of(case, matched)
    assert (labels != case.arrays["iou_labels"]).sum() <= wrong
    mine = (labels > 0) & (case.arrays["iou_labels"] > 0)
    # 1 - GIoU is known to some units of the last digit of 1, however small it is
    scores, theirs = extras["scores"].numpy()[mine], case.arrays["combined_loss"][mine]
    differences.within(1e-6, AUTHORS, "scores", scores / np.maximum(theirs, 1), theirs / np.maximum(theirs, 1))


@pytest.mark.parametrize("name", TRAIN)
def test_candidates_are_the_same_in_the_same_order(name: str, differences: Differences) -> None:
    case = load(name)
    extras = step(case).extras
    for b, g, i in case.gt_slices():
        valid, span = extras["candidate_valid"][b, g], case.candidates(i)
        ours, theirs = extras["candidates"][b, g][valid].numpy(), case.arrays["cand_anchor"][span]
        wrong = len(set(ours) - set(theirs))
        differences.share(AUTHORS, "candidates", wrong, len(theirs))
        assert len(ours) == len(theirs)
        assert not wrong or case.arrays["gt_topk_gap"][i] < 1e-5, f"ground truth {i}"
        scores = extras["candidate_scores"][b, g][valid].numpy()
        np.testing.assert_allclose(scores, case.arrays["cand_loss"][span], rtol=1e-6, atol=1e-6)
        moved = case.arrays["cand_loss"][span][ours != theirs]  # equal but for rounding: any order of them is theirs
        assert len(moved) < 2 or np.diff(moved).min() < 1e-5, f"ground truth {i}"
        assert len(moved) != 1 or wrong, f"ground truth {i}"


@pytest.mark.parametrize("name", TRAIN)
def test_the_boundary_is_theirs_on_the_scores_that_they_had(name: str, differences: Differences) -> None:
    case = load(name)
    for _, _, i in case.gt_slices():
        scores = torch.from_numpy(case.arrays["cand_loss"][case.candidates(i)])
        if len(scores):
            labels = case.built.assigner.boundary(scores[None], torch.ones(1, len(scores), dtype=torch.bool), 0.0)
            wanted = torch.arange(len(scores)) < int(case.arrays["gt_num_pos_f64"][i])
            differences.share(AUTHORS, "labels of their own scores", int((labels[0] != wanted).sum()), len(scores))
            assert torch.equal(labels[0] == 1, wanted), f"ground truth {i}"


def test_positives_are_the_same_but_where_rounding_decides(differences: Differences) -> None:
    fits = same_count = candidates = same_label = 0
    for name in TRAIN:
        case = load(name)
        arrays, gt_index = case.arrays, step(case).gt_index.numpy()
        for b, g, i in case.gt_slices():
            anchors = arrays["cand_anchor"][case.candidates(i)].astype(np.int64)
            wanted = np.arange(len(anchors)) < arrays["gt_num_pos_f64"][i]
            ours = gt_index[b, anchors] == g
            fits, candidates = fits + 1, candidates + len(anchors)
            same_label += int((ours == wanted).sum())
            same_count += int(ours.sum() == wanted.sum())
            if (ours != wanted).any():  # on their scores it is theirs (see above), so the last digits of ours decide
                gap = arrays["gt_score_gap"][i]
                differences.tell(f"{name}, ground truth {i}: {ours.sum()} for {wanted.sum()}, density gap {gap:.1e}")
        negative = gt_index == -1
        assert (negative == (arrays["labels"] <= 0))[arrays["matched_idxs"] < 0].all()
    differences.share(AUTHORS, "labels of candidates", candidates - same_label, candidates)
    differences.share(AUTHORS, "positives of a ground truth", fits - same_count, fits)
    assert same_label >= 0.999 * candidates, f"{candidates - same_label} of {candidates} candidates"
    assert same_count >= 0.995 * fits, f"{fits - same_count} of {fits} ground truths"


@pytest.mark.parametrize("name", TRAIN)
def test_labels_of_whole_images_are_the_same_where_float32_decided_nothing(name: str) -> None:
    case = load(name)
    arrays, gt_index = case.arrays, step(case).gt_index
    decided = (arrays["gt_num_pos"] != arrays["gt_num_pos_f64"]) | (arrays["gt_score_gap"] < 1e-5)
    matched = gt_index.clamp(min=-1).numpy()
    for b, g, i in case.gt_slices():
        if not decided[i]:
            assert np.array_equal(matched[b] == g, arrays["matched_gt"][b] == g), f"ground truth {i}"
    if not decided.any():
        assert np.array_equal(labels_of(case, gt_index), arrays["labels"])


@pytest.mark.parametrize("name", ASSIGN)
def test_iou_baseline(name: str, differences: Differences) -> None:
    case = load(name, "assign=max_iou", "assign.centre_inside=true")
    gt_index = case.built.assigner(case.anchors, UNUSED, case.targets, 0.0).gt_index
    wrong = int((labels_of(case, gt_index) != case.arrays["labels_iou"]).sum())
    differences.share(AUTHORS, "labels of the IoU baseline", wrong, gt_index.numel())
    assert wrong == 0
    others = (gt_index.clamp(min=-1).numpy() != case.arrays["matched_gt_iou"]).sum()
    assert others <= case.arrays["matched_gt_ambiguous_iou"]


@pytest.mark.parametrize("name", ASSIGN)
def test_atss(name: str, differences: Differences) -> None:
    case = load(name, "assign=atss")
    gt_index = case.built.assigner(case.anchors, UNUSED, case.targets, 0.0).gt_index
    theirs = case.arrays["matched_gt_atss"]
    wrong = gt_index.clamp(min=-1).numpy() != theirs
    differences.share(AUTHORS, "ground truth of an anchor, ATSS", int(wrong.sum()), wrong.size)
    # where the 9th and the 10th anchor are equally far from a ground truth, theirs is any of them, ours the lower
    tied = np.flatnonzero(case.arrays["gt_distance_gap"] == 0)
    offsets = case.arrays["gt_offsets"]
    for b, a in zip(*np.nonzero(wrong), strict=True):
        either = {int(gt_index[b, a]) + offsets[b], int(theirs[b, a]) + offsets[b]}
        assert either & set(tied), f"anchor {a} of image {b} differs, and no tie of distance explains it"
        differences.tell(f"anchor {a} of image {b}: the 9th and 10th nearest anchors of a level are equally far")
    assert wrong.sum() <= 3
    same = ~wrong
    assert np.array_equal(labels_of(case, gt_index)[same], case.arrays["labels_atss"][same])
