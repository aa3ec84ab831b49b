"""MMDetection's own heads and assigners beside ours with `compat=mmdet`."""

from __future__ import annotations

import mmdetection
import pytest


@pytest.fixture(scope="module", autouse=True)
def mmdet() -> None:
    mmdetection.require()


def test_its_heads_can_be_imported() -> None:
    from mmdet.models.dense_heads import ATSSHead, PAAHead
    from mmdet.models.task_modules.assigners import MaxIoUAssigner

    assert issubclass(PAAHead, ATSSHead)
    assert callable(MaxIoUAssigner)
