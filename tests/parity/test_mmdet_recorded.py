"""`compat=mmdet` against outputs of MMDetection 3.3.0 that are stored in mmdet/ (`record_mmdet.py` made them)."""

from __future__ import annotations

import numpy as np
import pytest
from differences import Differences
from mmdet_comparison import compare
from mmdet_outputs import FOLDER, images_from

FILES = sorted(FOLDER.glob("*.npz"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_recorded(path, differences: Differences) -> None:
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    compare(images_from(arrays), arrays["original"], arrays, differences)


def test_there_are_recordings() -> None:
    assert len(FILES) >= 20
