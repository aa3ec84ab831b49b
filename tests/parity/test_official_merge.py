"""The merge of a multi-scale test in the authors' code: soft voting, voting and NMS on stored detections."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from differences import Differences
from official_arrays import Arrays, names, read
from pairing import paired
from running import configuration

from paa.boxes import iou_matrix
from paa.experiment.parts import assemble
from paa.structures import Detections

FILES = names("merge")
AUTHORS = "official, the authors' code"


@pytest.fixture(scope="module", params=["soft_vote", "vote", "nms"])
def scales(request):
    """Return (merge, the object that the command line builds for it with compat=official)."""
    words = ["compat=official", "postprocess.multiscale=official", f"postprocess.multiscale.merge={request.param}"]
    return request.param, assemble(configuration(*words)).scales


def near(arrays: Arrays, how: str) -> str | None:
    """Return which decision of a merge depends on rounding."""
    boxes, scores, labels = (torch.from_numpy(arrays[key]).double() for key in ("boxes", "scores", "labels"))
    iou = iou_matrix(boxes, boxes, legacy=True)[labels[:, None] == labels]
    threshold = 0.6 if how == "nms" else float(arrays["vote_threshold"])
    if ((iou - threshold).abs() < 1e-6).any():
        return f"an IoU is {threshold:g} to 1e-6"
    left = (scores[:, None] * (1 - iou_matrix(boxes, boxes, legacy=True)))[labels[:, None] == labels]
    if how == "soft_vote" and ((left - float(arrays["soft_score_floor"])).abs() < 1e-6).any():
        return "a score is at the floor to 1e-6"
    return None


@pytest.mark.parametrize("name", FILES)
def test_merged_as_by_the_authors_code(name, scales, differences: Differences):
    how, made = scales
    arrays = read(name)
    assert made.vote_iou == pytest.approx(float(arrays["vote_threshold"]))
    assert made.floor == pytest.approx(float(arrays["soft_score_floor"]))
    given = [torch.from_numpy(arrays[key]) for key in ("boxes", "scores", "labels")]
    pooled = Detections(*given, torch.full_like(given[1], torch.nan))
    found = made.merged([pooled[half] for half in torch.arange(len(pooled)).tensor_split(2)])

    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    boxes, scores, labels = (arrays[f"{how}_{part}"] for part in ("boxes", "scores", "labels"))
    ours = (found.boxes.numpy(), found.scores.numpy(), found.labels.numpy())
    pair = paired(boxes, scores, labels, ours)
    with_us = pair >= 0
    apart = np.abs(ours[0][pair[with_us]] - boxes[with_us]).max(1, initial=0)
    others = int((~with_us).sum() + (apart > 1e-3).sum() + max(len(found) - len(boxes), 0))
    why = near(arrays, how) if others else None
    if others:
        differences.tell(f"{others} of {len(boxes)} detections: {why or 'UNEXPLAINED'}")
    assert others <= (-(-len(boxes) // 100) if why else 0), f"{others} of {len(boxes)} detections are not there"
    differences.most(1e-3, AUTHORS, "merged detections, pixels", float(apart[apart <= 1e-3].max(initial=0)))
