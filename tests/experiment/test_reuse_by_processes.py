"""Normalizers of each process: the number of processes is part of the run ID, and must be the one that is launched."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import call, experiment

from paa.config.errors import ConfigError
from paa.engine.distributed import ProcessGroup
from paa.experiment.device import check_processes
from paa.launch.settings import LocalSettings
from paa.launch.sweep import check

LOCAL = r"^train\.processes=2: must be 1, "


def test_the_number_of_processes_counts_only_with_local_normalizers(tmp_path: Path) -> None:
    def name(*overrides: str) -> str:
        return experiment(tmp_path, *overrides).train_id

    assert name("train.processes=2") == name()
    assert name("compat=mmdet", "compat.normalizer_sync=global", "train.processes=2") == name(
        "compat=mmdet", "compat.normalizer_sync=global"
    )
    assert name("compat=mmdet") != name("compat=mmdet", "train.processes=2")


def test_it_must_be_the_number_that_is_launched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = experiment(tmp_path, "compat=mmdet", "train.processes=2")
    check_processes(made.config, ProcessGroup(0, 2))
    for size in (1, 3):
        with pytest.raises(ConfigError, match=rf"^train\.processes=2: must be {size}, "):
            check_processes(made.config, ProcessGroup(0, size))
    check_processes(experiment(tmp_path).config, ProcessGroup(0, 2))
    ended = call(capsys, "paa.train", *made.overrides)
    assert ended.code == 2
    assert "train.processes=2: must be 1" in ended.err
    with pytest.raises(ConfigError, match=LOCAL):
        check(LocalSettings(), [made], multirun=True)
