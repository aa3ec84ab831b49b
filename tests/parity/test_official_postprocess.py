"""Test-time outputs of the authors' code, with and without score voting, on stored predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from paa.anchors import AnchorGrid
from paa.auxiliary import IoUPrediction
from paa.postprocess import PostProcess, Selection
from paa.structures import Anchors, Detections, Predictions

FILES = ("501_random", "502_mixed", "503_random", "505_random", "514_crowded")
Loaded = tuple[dict[str, np.ndarray], Predictions, Anchors, torch.Tensor]


@pytest.fixture(params=FILES)
def loaded(request: pytest.FixtureRequest, shared: Path) -> Loaded:
    path = shared / "golden" / "official" / f"test_{request.param}.npz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}

    def flat(kind: str) -> torch.Tensor:
        return torch.cat([torch.from_numpy(arrays[f"{kind}_l{level}"]).flatten(2).mT for level in range(5)], 1)

    sizes = torch.from_numpy(arrays["image_sizes"])
    shapes = tuple((int(h), int(w)) for h, w in arrays["grid_sizes"])
    padded = (int(arrays["padded_size"][0]), int(arrays["padded_size"][1]))
    anchors = AnchorGrid(legacy=True, padding="negative")(shapes, sizes, padded, "cpu")
    return arrays, Predictions(flat("cls"), flat("reg"), flat("iou").squeeze(-1)), anchors, sizes


def official(**changed: object) -> PostProcess:
    return PostProcess(**{"legacy": True, "keep_ties": True, **changed})  # type: ignore[arg-type]


def select(loaded: Loaded, postprocess: PostProcess) -> Selection:
    _, predictions, anchors, sizes = loaded
    return postprocess.select(predictions, anchors, sizes, IoUPrediction(legacy=True))


def test_counts(loaded: Loaded) -> None:
    arrays = loaded[0]
    selection = select(loaded, official(max_detections=10**6))
    before = np.diff(selection.offsets).tolist()
    assert before == arrays["num_pre_nms"].tolist()
    if len(arrays["num_post_nms"]) == len(before):  # not counted where an image has no detection
        assert [len(kept) for kept in selection.kept] == arrays["num_post_nms"].tolist()


@pytest.mark.parametrize("voting", [False, True])
def test_detections(loaded: Loaded, voting: bool) -> None:
    arrays = loaded[0]
    postprocess = official()
    found = postprocess.finish(select(loaded, postprocess), voting=voting)
    kind = "vote" if voting else "plain"
    offsets = arrays[f"{kind}_offsets"]
    assert [len(d) for d in found] == np.diff(offsets).tolist()
    for i, detections in enumerate(found):
        own = slice(offsets[i], offsets[i + 1])
        _compare(detections, *(arrays[f"{kind}_{name}"][own] for name in ("boxes", "scores", "labels")))


def _compare(found: Detections, boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> None:
    """Same labels (1-based in the arrays), scores to 1e-6, boxes to 1e-3 px, in the order (label, score)."""
    ours = np.lexsort((found.scores.numpy(), found.labels.numpy()))
    theirs = np.lexsort((scores, labels))
    assert (found.labels.numpy()[ours] + 1 == labels[theirs]).all()
    np.testing.assert_allclose(found.scores.numpy()[ours], scores[theirs], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.boxes.numpy()[ours], boxes[theirs], rtol=0, atol=1e-3)
