"""`compat=official` reproduces the authors' detections, with and without score voting."""

from __future__ import annotations

import numpy as np
import pytest
from differences import Differences
from official_arrays import Case, load, names
from pairing import SCORE, paired

from paa.postprocess import Selection

TEST = names("test")
AUTHORS = "official, the authors' code"


def select(case: Case) -> Selection:
    return case.built.postprocess.select(case.predictions, case.anchors, case.sizes, case.built.auxiliary)


def near(case: Case, *margins: str) -> list[str]:
    """Return which of the file's margins leave a decision to rounding."""
    limits = {"score_threshold_margin": 1e-6, "nms_iou_margin": 1e-5, "score_gap": 1e-7}
    assert set(margins) <= limits.keys()
    found = {margin: float(case.arrays[f"min_{margin}"]) for margin in margins}
    return [f"{margin} {value:.0e}" for margin, value in found.items() if value < limits[margin]]


@pytest.mark.parametrize("name", TEST)
def test_counts(name: str, differences: Differences) -> None:
    case = load(name, "postprocess.max_detections=1000000")
    selection = select(case)
    before, right = np.diff(selection.offsets), case.arrays["num_pre_nms"]
    doubts = near(case, "score_threshold_margin")
    compare_counts("before NMS", before, right, doubts, differences)
    if len(case.arrays["num_post_nms"]) == len(before):  # not counted where an image has no detection
        doubts = near(case, "score_threshold_margin", "nms_iou_margin", "score_gap")
        after = np.array([len(kept) for kept in selection.kept])
        compare_counts("after NMS", after, case.arrays["num_post_nms"], doubts, differences)


def compare_counts(
    where: str, ours: np.ndarray, theirs: np.ndarray, doubts: list[str], differences: Differences
) -> None:
    assert len(ours) == len(theirs)
    for i, (mine, right) in enumerate(zip(ours, theirs, strict=True)):
        if mine != right:
            differences.tell(f"image {i}: {mine} {where}, there {right}: {', '.join(doubts) or 'UNEXPLAINED'}")
        assert abs(mine - right) <= 2 * len(doubts), f"image {i}: {mine} {where}, there {right}"


@pytest.mark.parametrize("voting", [False, True])
@pytest.mark.parametrize("name", TEST)
def test_detections(name: str, voting: bool, differences: Differences) -> None:
    case = load(name)
    selection = select(case)
    found = case.built.postprocess.finish(selection, voting=voting)
    kind = "vote" if voting else "plain"
    offsets = case.arrays[f"{kind}_offsets"]
    assert len(found) == len(offsets) - 1
    for i, detections in enumerate(found):
        own = slice(offsets[i], offsets[i + 1])
        theirs = tuple(case.arrays[f"{kind}_{part}"][own] for part in ("boxes", "scores", "labels"))
        ours = (detections.boxes.numpy(), detections.scores.numpy(), detections.labels.numpy() + 1)
        pair = paired(*theirs, ours)
        apart = np.where(pair >= 0, np.abs(ours[0][pair] - theirs[0]).max(1), np.inf) if len(ours[0]) else pair + np.inf
        good = apart <= 1e-3
        alone = [(theirs, k, "there") for k in np.flatnonzero(~good)]
        alone += [(ours, k, "here") for k in np.setdiff1d(np.arange(len(detections)), pair[good])]
        for (_, scores, labels), k, where in alone:
            why = why_alone(case, selection, i, float(scores[k]), int(labels[k]))
            differences.tell(f"detection {k} of image {i}, {where} alone: {why or 'UNEXPLAINED'}")
            assert why, f"detection {k} of image {i} is {where} alone, by {apart[k] if where == 'there' else 0:.3g} px"
        assert len(alone) <= 2 * max(1, len(pair) // 100)  # two of a pair that changed places
        differences.most(1e-3, AUTHORS, "detections, pixels", float(apart[good].max(initial=0)))
        differences.within(1e-6, AUTHORS, "detections, scores", ours[1][pair[good]], theirs[1][good])


def why_alone(case: Case, selection: Selection, image: int, score: float, label: int) -> str | None:
    """Explain a detection that only one side has: a margin of the file, or a candidate of the same score."""
    own = slice(*selection.offsets[image : image + 2])
    ties = (selection.scores[own] - score).abs() <= SCORE
    if int((ties & (selection.labels[own] == label - 1)).sum()) > 1:
        return f"two candidates of class {label} tie in their score"
    kept = selection.scores[selection.kept[image]]
    if int(ties.sum()) > 1 and len(kept) and score <= float(kept.min()) + SCORE:
        return "its score ties the last one kept"
    return next(iter(near(case, "score_threshold_margin", "nms_iou_margin")), None)
