"""`compat=official` reproduces assignments of the authors' code from the same network outputs (golden arrays)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from composed import anchors_of, assign, parts
from differences import Differences
from explained import tie_of
from official_arrays import Case, load, names, read
from official_reasons import (
    GAP,
    PIXELS,
    float_type,
    overlaps,
    twins,
    why_atss,
    why_baseline,
    why_candidates,
    why_matched,
    why_positive,
)

from paa.structures import Assignment, Predictions

TRAIN, ASSIGN = names("train"), names("assign")
UNUSED = Predictions(torch.empty(0), torch.empty(0))
AUTHORS = "official, the authors' code"


def step(case: Case) -> Assignment:
    return assign(case.built, case.anchors, case.predictions, case.targets)


def labels_of(case: Case, gt_index: torch.Tensor) -> np.ndarray:
    """Return 1-based labels, 0 background, -1 ignored."""
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
    matched, theirs = extras["matched"].numpy(), case.arrays["matched_idxs"]
    wrong = matched != theirs
    differences.share(AUTHORS, "ground truth of an anchor", int(wrong.sum()), wrong.size)
    for b, a in np.argwhere(wrong):
        why = why_matched(overlaps(case, b), a)
        differences.tell(f"anchor {a} of image {b}: {why or 'UNEXPLAINED'}")
        assert why, f"anchor {a} of image {b} belongs to {matched[b, a]}, there to {theirs[b, a]}"
    few = case.arrays["fragile_iou_count"] + np.ceil(0.001 * wrong.size)
    assert wrong.sum() <= few, f"{wrong.sum()} anchors belong to another ground truth"
    labels = labels_of(case, extras["matched"])
    assert np.array_equal(labels[~wrong], case.arrays["iou_labels"][~wrong])
    mine = (labels > 0) & ~wrong
    # 1 - GIoU is known to some units of the last digit of 1, however small it is
    scores, right = extras["scores"].numpy()[mine], case.arrays["combined_loss"][mine]
    differences.within(2e-6, AUTHORS, "scores", scores / np.maximum(right, 1), right / np.maximum(right, 1))


@pytest.mark.parametrize("name", TRAIN)
def test_candidates_are_the_same_in_the_same_order(name: str, differences: Differences) -> None:
    case = load(name)
    extras = step(case).extras
    for b, g, i in case.gt_slices():
        valid, span = extras["candidate_valid"][b, g], case.candidates(i)
        ours, theirs = extras["candidates"][b, g][valid].numpy(), case.arrays["cand_anchor"][span]
        wrong = set(ours) ^ set(theirs)
        differences.share(AUTHORS, "candidates", len(wrong), len(theirs))
        if wrong:
            why = why_candidates(case, extras["matched"].numpy(), b, g, i)
            differences.tell(f"{name}, ground truth {i}, {len(wrong)} candidates: {why or 'UNEXPLAINED'}")
            assert why, f"ground truth {i}: {sorted(wrong)}"
        both = np.isin(ours, theirs)
        of = {anchor: k for k, anchor in enumerate(theirs)}
        right = case.arrays["cand_loss"][span][[of[anchor] for anchor in ours[both]]]
        scores = extras["candidate_scores"][b, g][valid].numpy()[both]
        np.testing.assert_allclose(scores, right, rtol=2e-6, atol=2e-6)
        # theirs, in our order, ascend: where they are equal but for rounding, any order of them is right
        assert (np.diff(right) >= -GAP * np.maximum(right[1:], 1)).all(), f"ground truth {i}"


@pytest.mark.parametrize("name", TRAIN)
def test_the_boundary_is_theirs_on_the_scores_that_they_had(name: str, differences: Differences) -> None:
    case = load(name)
    rule = case.built.assigner.boundary
    for _, _, i in case.gt_slices():
        scores = torch.from_numpy(case.arrays["cand_loss"][case.candidates(i)])[None]
        if scores.numel():
            valid = torch.ones_like(scores, dtype=torch.bool)
            labels = rule(scores, valid, 0.0)[0] == 1
            wanted = torch.arange(len(labels)) < int(case.arrays["gt_num_pos_f64"][i])
            wrong = int((labels != wanted).sum())
            differences.share(AUTHORS, "labels of their own scores", wrong, len(labels))
            if wrong:
                why = tie_of(rule, scores, valid) if len(labels) > 1 else None
                differences.tell(f"{name}, ground truth {i}: {wrong} labels of their scores: {why or 'UNEXPLAINED'}")
                assert why, f"ground truth {i}: {int(labels.sum())} for {int(wanted.sum())}"


def test_positives_are_the_same_but_where_rounding_decides(differences: Differences) -> None:
    fits = same_count = candidates = same_label = 0
    for name in TRAIN:
        case = load(name)
        arrays, assignment = case.arrays, step(case)
        gt_index = assignment.gt_index.numpy()
        for b, g, i in case.gt_slices():
            anchors = arrays["cand_anchor"][case.candidates(i)].astype(np.int64)
            theirs = np.zeros(gt_index.shape[1], bool)
            theirs[anchors[: arrays["gt_num_pos_f64"][i]]] = True
            ours = gt_index[b] == g
            fits, candidates = fits + 1, candidates + len(anchors)
            same_label += int((ours == theirs)[anchors].sum())
            same_count += int(ours.sum() == theirs.sum())
            if (ours != theirs).any():
                why = why_positive(case, assignment, b, g, i, theirs)
                differences.tell(
                    f"{name}, ground truth {i}: {ours.sum()} for {theirs.sum()} positives: {why or 'UNEXPLAINED'}"
                )
                assert why, f"{name}, ground truth {i}: {np.flatnonzero(ours)}, there {np.flatnonzero(theirs)}"
        alone = (arrays["matched_idxs"] < 0) & (assignment.extras["matched"].numpy() < 0)
        assert ((gt_index == -1) == (arrays["labels"] <= 0))[alone].all()
    differences.share(AUTHORS, "labels of candidates", candidates - same_label, candidates)
    differences.share(AUTHORS, "positives of a ground truth", fits - same_count, fits)
    assert same_label >= 0.999 * candidates, f"{candidates - same_label} of {candidates} candidates"
    assert same_count >= 0.995 * fits, f"{fits - same_count} of {fits} ground truths"


@pytest.mark.parametrize("name", TRAIN)
def test_labels_of_whole_images_are_the_same_where_nothing_else_decided(name: str, differences: Differences) -> None:
    """Here the mixture is fitted in float32, as in the authors' code."""
    case = load(name)
    arrays, assignment = case.arrays, step(case)
    labels, moved = labels_of(case, assignment.gt_index), np.zeros(arrays["labels"].shape, bool)
    for b, g, i in case.gt_slices():
        ours, theirs = assignment.gt_index[b].numpy() == g, arrays["matched_gt"][b] == g
        if (ours != theirs).any():
            why = float_type(case, i) or why_positive(case, assignment, b, g, i, theirs)
            differences.tell(f"ground truth {i}: {ours.sum()} for {theirs.sum()} positives: {why or 'UNEXPLAINED'}")
            assert why, f"ground truth {i}: {np.flatnonzero(ours)}, there {np.flatnonzero(theirs)}"
            moved[b] |= ours != theirs
    assert np.array_equal(labels[~moved], arrays["labels"][~moved])


@pytest.mark.parametrize("name", ASSIGN)
def test_iou_baseline(name: str, differences: Differences) -> None:
    case = load(name, "assign=max_iou", "assign.center_inside=true")
    gt_index = case.built.assigner(case.anchors, UNUSED, case.targets, 0.0).gt_index
    matched, theirs = gt_index.clamp(min=-1).numpy(), case.arrays["matched_gt_iou"]
    labels = labels_of(case, gt_index) != case.arrays["labels_iou"]
    differences.share(AUTHORS, "labels of the IoU baseline", int(labels.sum()), labels.size)
    for b, a in np.argwhere(labels | (matched != theirs)):
        why = twins(case, b, matched[b, a], theirs[b, a]) or why_baseline(case, b, a)
        differences.tell(f"anchor {a} of image {b}: {why or 'UNEXPLAINED'}")
        assert why, f"anchor {a} of image {b} belongs to {matched[b, a]}, there to {theirs[b, a]}"
    assert labels.sum() <= 0.001 * labels.size


@pytest.mark.parametrize("name", ASSIGN)
def test_atss(name: str, differences: Differences) -> None:
    case = load(name, "assign=atss")
    gt_index = case.built.assigner(case.anchors, UNUSED, case.targets, 0.0).gt_index
    matched, theirs = gt_index.clamp(min=-1).numpy(), case.arrays["matched_gt_atss"]
    wrong = matched != theirs
    differences.share(AUTHORS, "ground truth of an anchor, ATSS", int(wrong.sum()), wrong.size)
    # where the 9th and the 10th anchor are equally far from a ground truth, theirs is any of them, ours the lower
    for b, a in np.argwhere(wrong):
        either = {int(matched[b, a]), int(theirs[b, a])} - {-1}
        why = twins(case, b, matched[b, a], theirs[b, a]) or why_atss(case, b, a, either)
        differences.tell(f"anchor {a} of image {b}: {why or 'UNEXPLAINED'}")
        assert why, f"anchor {a} of image {b} belongs to {matched[b, a]}, there to {theirs[b, a]}"
    tied = (case.arrays["gt_distance_gap"] < PIXELS).sum()  # of each two anchors change places
    assert wrong.sum() <= 0.001 * wrong.size + 2 * tied
    assert np.array_equal(labels_of(case, gt_index)[~wrong], case.arrays["labels_atss"][~wrong])
