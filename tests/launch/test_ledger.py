"""The files of a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import finish, slurm, sweep  # noqa: F401

from paa.launch.ledger import Sweep, absolute, new_folder, sweeps
from paa.store.errors import BadRecord
from paa.store.frame import UnreadableRecord


def test_what_was_written_is_read(tmp_path):
    made = sweep(tmp_path / "runs" / ".sweeps" / "a")
    (read,) = sweeps(tmp_path / "runs")
    assert read == made
    assert {n: content["config"]["seed"] for n, content in read.contents([2, 0]).items()} == {0: 0, 2: 2}
    assert read.ids() == {}


def test_ids_are_those_of_the_last_submission(tmp_path, slurm):  # noqa: F811
    made = sweep(tmp_path)
    first = made.plan([[0], [1, 2]])
    made.submitted(first, "70")
    assert made.ids() == {0: "70_0", 1: "70_1", 2: "70_1"}, "entries of one training share a job"
    again = made.plan([[1]])
    assert again.name != first.name
    assert made.ids()[1] == "70_1", "it is planned, and not submitted"
    made.submitted(again, "71")
    assert Sweep.read(tmp_path).ids() == {0: "70_0", 1: "71", 2: "70_1"}


def test_a_file_that_is_no_record_is_named(tmp_path):
    folder = tmp_path / ".sweeps" / "a"
    folder.mkdir(parents=True)
    (folder / "submitted.json").write_text("[]")
    with pytest.raises(BadRecord, match=r"submitted\.json"):
        Sweep.read(folder)
    with pytest.warns(UnreadableRecord, match=r"submitted\.json"):
        assert sweeps(tmp_path) == []


def test_batches_of_one_command_get_folders_of_their_own(tmp_path):
    assert new_folder(tmp_path, "a") == tmp_path / ".sweeps" / "a"
    for name in ("a", "a-2"):
        sweep(tmp_path / ".sweeps" / name)
    assert new_folder(tmp_path, "a").name == "a-3"


def test_done_is_a_record_and_every_evaluation(tmp_path):
    made = sweep(tmp_path / "sweep")
    assert not made.entries[0].done(tmp_path)
    finish(tmp_path, made, 0)
    assert made.entries[0].done(tmp_path)
    (tmp_path / made.entries[0].train_id / "evals" / f"{made.entries[0].evals[0]}.json").unlink()
    assert not made.entries[0].done(tmp_path)


def test_paths_become_absolute_and_names_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").touch()
    config = {
        "runs_dir": "runs",
        "data": {"root": "~/coco", "split": "val"},
        "backbone": {"weights": "w.pth"},
        "finetune": {"from": "t0123456789"},
    }
    found = absolute(config)
    assert found["runs_dir"] == str(tmp_path / "runs")
    assert found["data"] == {"root": str(Path("~/coco").expanduser()), "split": "val"}
    assert found["backbone"]["weights"] == str(tmp_path / "w.pth")
    assert found["finetune"]["from"] == "t0123456789"
    assert config["runs_dir"] == "runs", "the argument stays as it is"
    assert absolute({**config, "backbone": {"weights": "torchvision"}})["backbone"]["weights"] == "torchvision"
