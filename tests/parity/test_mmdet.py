"""MMDetection's own heads and assigners beside ours with `compat=mmdet`, on random batches."""

from __future__ import annotations

import mmdetection
import numpy as np
import pytest
import torch
from composed import parts
from differences import Differences
from explained import tie_of
from mmdet_comparison import compare
from official_arrays import read
from record_mmdet import SEEDS

from paa.assign.boundary import MixtureBoundary

SOME = range(108, 144)
"""Batches of every kind of ground truths and network outputs, none of them stored."""

CHUNK = 12
LARGE = (10, 13)
"""Batches of an image of 800 x 1333; "trained" outputs."""


@pytest.fixture(scope="module", autouse=True)
def mmdet() -> None:
    mmdetection.require()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("first", range(SOME.start, SOME.stop, CHUNK))
def test_batches(first: int, differences: Differences) -> None:
    from mmdet_outputs import batch_of, outputs_of

    for seed in range(first, first + CHUNK):
        images, arrays = batch_of(seed)
        compare(images, arrays["original"], outputs_of(images, arrays["original"]), differences)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", LARGE)
def test_large(seed: int, differences: Differences) -> None:
    from mmdet_outputs import batch_of, outputs_of

    images, arrays = batch_of(seed, large=True)
    compare(images, arrays["original"], outputs_of(images, arrays["original"]), differences)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", SEEDS[::4])
def test_the_stored_outputs_are_what_it_gives(seed: int) -> None:
    from mmdet_outputs import FOLDER, batch_of, outputs_of, thinned

    images, arrays = batch_of(seed)
    found = {**arrays, **thinned(outputs_of(images, arrays["original"]))}
    with np.load(FOLDER / f"batch_{seed:03}.npz", allow_pickle=False) as stored:
        assert set(stored.files) == set(found)
        for name in stored.files:
            np.testing.assert_allclose(found[name], stored[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.filterwarnings("ignore")
def test_the_stored_boundaries_are_what_it_gives(differences: Differences) -> None:
    """Except for sets with a tie, which the rounding of the machine decides."""
    from mmdet_outputs import FOLDER, labels_of_sets

    arrays, first, last = read("boundaries.npz"), 200, 500
    offsets = arrays["offsets"][first : last + 1]
    some = {"scores": arrays["scores"][offsets[0] : offsets[-1]], "offsets": offsets - offsets[0]}
    with np.load(FOLDER / "boundaries.npz", allow_pickle=False) as stored:
        wrong = labels_of_sets(some) != stored["labels"][offsets[0] : offsets[-1]]
    rule = parts("mmdet").assigner.boundary
    assert isinstance(rule, MixtureBoundary)
    for i in range(last - first):
        mine = slice(*some["offsets"][i : i + 2])
        if wrong[mine].any():
            scores = torch.from_numpy(np.sort(some["scores"][mine], kind="stable"))[None]
            why = tie_of(rule, scores, torch.ones_like(scores, dtype=torch.bool), equal=True)
            assert why, f"set {first + i}"
            differences.tell(f"MMDetection's own code, set {first + i}, here and where it was recorded: {why}")
    assert wrong.mean() < 0.05
