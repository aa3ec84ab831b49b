"""Compare `compat=mmdet` with outputs of MMDetection 3.3.0 stored in mmdet/ by `record_mmdet.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from composed import parts
from differences import Differences
from explained import tie_of
from hard_cases import COMPARED
from mmdet_comparison import AGAINST, compare
from mmdet_outputs import FOLDER, Arrays, images_from
from official_arrays import sets_of
from record_mmdet import SEEDS

from paa.assign.boundary import MixtureBoundary

FILES = sorted(FOLDER.glob("batch_*.npz"))


def read(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_batches(path: Path, differences: Differences) -> None:
    arrays = read(path)
    compare(images_from(arrays), arrays["original"], arrays, differences)


def test_all_of_them_are_there() -> None:
    names = [*(f"{seed:03}" for seed in SEEDS), *(make.__name__ for make in COMPARED)]
    assert [path.stem for path in FILES] == sorted(f"batch_{name}" for name in names)


TIES = (3, 4, 6)
"""Kinds of sets whose scores are equal up to 1e-5: there the last digits decide in every fit."""


def test_boundary(differences: Differences) -> None:
    arrays, scores, valid = sets_of("boundaries.npz")
    rule = parts("mmdet").assigner.boundary
    assert isinstance(rule, MixtureBoundary)
    ours, theirs = rule(scores, valid, 0.0) == 1, valid.clone()
    theirs[valid] = valid.new_tensor(read(FOLDER / "boundaries.npz")["labels"] == 1)
    wrong, ties = ours != theirs, torch.from_numpy(np.isin(arrays["kind"], TIES))
    for i in wrong.any(1).nonzero().flatten().tolist():
        why = tie_of(rule, scores[i : i + 1], valid[i : i + 1], equal=True)
        assert why, f"set {i}: {ours[i][valid[i]].tolist()}, theirs {theirs[i][valid[i]].tolist()}"
        if not ties[i]:
            differences.tell(f"{AGAINST}, set {i}: {int(ours[i].sum())} positives for {int(theirs[i].sum())}: {why}")
    for name, some in (("", ~ties), (" with ties", ties)):
        differences.share(AGAINST, f"labels of sorted scores{name}", int(wrong[some].sum()), int(valid[some].sum()))
    assert wrong[~ties].sum() <= 0.001 * valid[~ties].sum()
    assert wrong[~ties].any(1).sum() <= 0.005 * (~ties).sum()
    assert (~ours.any(1) & valid.any(1)).sum() > 30  # of one candidate, or with component 0 empty
