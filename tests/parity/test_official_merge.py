"""The merge of a multi-scale test in the authors' code: soft voting, voting and NMS on stored detections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from running import configuration

from paa.cli.assemble import assemble
from paa.structures import Detections

HERE = Path(__file__).resolve()
FOLDERS = (HERE.parent / "official", HERE.parents[3] / "shared" / "golden" / "official")
FILES = {path.name: path for folder in FOLDERS for path in sorted(folder.glob("merge_*.npz"))}


def test_the_files_are_here():
    assert {"merge_1.npz", "merge_2.npz"} <= FILES.keys()


@pytest.fixture(scope="module", params=["soft_vote", "vote", "nms"])
def scales(request):
    """(merge, the object that the command line makes for it under compat=official)."""
    words = ["compat=official", "postprocess.multiscale=official", f"postprocess.multiscale.merge={request.param}"]
    return request.param, assemble(configuration(*words)).scales


@pytest.mark.parametrize("name", FILES)
def test_merged_as_by_the_authors_code(name, scales):
    how, made = scales
    with np.load(FILES[name], allow_pickle=False) as stored:
        arrays = dict(stored)
    assert made.vote_iou == pytest.approx(float(arrays["vote_threshold"]))
    assert made.floor == pytest.approx(float(arrays["soft_score_floor"]))
    given = [torch.from_numpy(arrays[key]) for key in ("boxes", "scores", "labels")]
    pooled = Detections(*given, torch.full_like(given[1], torch.nan))
    found = made.merged([pooled[torch.arange(10)], pooled[torch.arange(10, len(pooled))]])

    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    ours = np.lexsort((found.scores.numpy(), found.labels.numpy()))
    theirs = np.lexsort((arrays[f"{how}_scores"], arrays[f"{how}_labels"]))
    np.testing.assert_array_equal(found.labels.numpy()[ours], arrays[f"{how}_labels"][theirs])
    np.testing.assert_allclose(found.scores.numpy()[ours], arrays[f"{how}_scores"][theirs], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.boxes.numpy()[ours], arrays[f"{how}_boxes"][theirs], rtol=0, atol=1e-3)
