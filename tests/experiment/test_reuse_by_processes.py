"""A finished training under another number of processes: another one where each has normalizers of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import as_finished, call, experiment

from paa.config.errors import ConfigError
from paa.engine.distributed import ProcessGroup
from paa.experiment.experiment import Experiment
from paa.experiment.job import Job
from paa.launch.settings import LocalSettings
from paa.launch.sweep import check

LOCAL = r"^criterion\.normalizer_sync=per_process: t\w{10} was trained with 2 processes"


def finished(runs_dir: Path, processes: int, *overrides: str) -> Experiment:
    """The experiment, with the record of a training by so many processes."""
    made = experiment(runs_dir, "evaluate.splits=[]", *overrides)
    as_finished(made.identity.paths, made.parts.config, [], made.identity.digests, world_size=processes)
    return made


def test_local_normalizers_bind_a_run_to_its_number(tmp_path: Path) -> None:
    made = finished(tmp_path, 2, "compat=mmdet")
    made.check_reuse(ProcessGroup(0, 2))
    with pytest.raises(ConfigError, match=LOCAL):
        made.check_reuse(ProcessGroup())
    with pytest.raises(ConfigError, match=r"is of 2 processes, .* and not of 3; start 2, or say another runs_dir or"):
        made.check_reuse(ProcessGroup(0, 3))


def test_averaged_normalizers_and_an_unfinished_run_do_not(tmp_path: Path) -> None:
    finished(tmp_path, 2).check_reuse(ProcessGroup())
    finished(tmp_path, 2, "compat=mmdet", "compat.normalizer_sync=global").check_reuse(ProcessGroup())
    experiment(tmp_path, "compat=mmdet", "seed=1").check_reuse(ProcessGroup(0, 2))


def test_a_command_and_a_launcher_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = finished(tmp_path, 2, "compat=mmdet")
    ended = call(capsys, "paa.train", *made.overrides)
    assert ended.code == 2
    assert "was trained with 2 processes" in ended.err
    job = Job(list(made.overrides), made.parts.config, {}, made)
    with pytest.raises(ConfigError, match=LOCAL):
        check(LocalSettings(), [job], multirun=True)
