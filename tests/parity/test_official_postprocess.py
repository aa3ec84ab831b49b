"""Test-time outputs of the authors' code, with and without score voting, met by `compat=official`."""

from __future__ import annotations

import numpy as np
import pytest
from differences import Differences
from official_arrays import Case, load, names

from paa.postprocess import Selection

TEST = names("test")
AUTHORS = "official, the authors' code"


def select(case: Case) -> Selection:
    return case.built.postprocess.select(case.predictions, case.anchors, case.sizes, case.built.auxiliary)


@pytest.mark.parametrize("name", TEST)
def test_counts(name: str) -> None:
    case = load(name, "postprocess.max_detections=1000000")
    selection = select(case)
    before = np.diff(selection.offsets).tolist()
    assert before == case.arrays["num_pre_nms"].tolist()
    if len(case.arrays["num_post_nms"]) == len(before):  # not counted where an image has no detection
        assert [len(kept) for kept in selection.kept] == case.arrays["num_post_nms"].tolist()


@pytest.mark.parametrize("voting", [False, True])
@pytest.mark.parametrize("name", TEST)
def test_detections(name: str, voting: bool, differences: Differences) -> None:
    case = load(name)
    found = case.built.postprocess.finish(select(case), voting=voting)
    kind = "vote" if voting else "plain"
    offsets = case.arrays[f"{kind}_offsets"]
    assert [len(d) for d in found] == np.diff(offsets).tolist()
    for i, detections in enumerate(found):
        own = slice(offsets[i], offsets[i + 1])
        boxes, scores, labels = (case.arrays[f"{kind}_{part}"][own] for part in ("boxes", "scores", "labels"))
        ours = np.lexsort((detections.scores.numpy(), detections.labels.numpy()))
        theirs = np.lexsort((scores, labels))
        assert (detections.labels.numpy()[ours] + 1 == labels[theirs]).all()
        differences.within(1e-6, AUTHORS, "detections, scores", detections.scores.numpy()[ours], scores[theirs])
        differences.within(1e-3, AUTHORS, "detections, pixels", detections.boxes.numpy()[ours], boxes[theirs])
