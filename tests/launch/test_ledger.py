import os

import pytest
from fakes import finish, sweep

from paa.launch.ledger import Sweep, sweeps
from paa.store.errors import BadRecord
from paa.store.frame import UnreadableRecord


def test_what_was_written_is_read(tmp_path):
    made = sweep(tmp_path / "runs" / ".sweeps" / "a")
    (read,) = sweeps(tmp_path / "runs")
    assert read == made
    assert read.contents([2, 0]) == {n: {"config": {"seed": n}, "overrides": [], "choices": {}} for n in (0, 2)}
    assert read.ids() == {}


def test_ids_are_those_of_the_last_submission(tmp_path):
    made = sweep(tmp_path)
    first = made.plan([[0], [1, 2]])
    made.submitted(first, "70")
    assert made.ids() == {0: "70_0", 1: "70_1", 2: "70_1"}, "entries of one training share a job"
    again = made.plan([[1]])
    assert again.name != first.name
    assert made.ids() == {0: "70_0", 1: "70_1", 2: "70_1"}, "it is planned, and not submitted"
    made.submitted(again, "71")
    made.adopt(2, "60_5", tmp_path / "elsewhere")
    assert Sweep.read(tmp_path).ids() == {0: "70_0", 1: "71", 2: "60_5"}
    assert made.arrays()[-1].logs == str(tmp_path / "elsewhere")


def test_a_line_that_a_kill_tore_is_left_out(tmp_path):
    made = sweep(tmp_path)
    made.submitted(made.plan([[0], [1], [2]]), "70")
    path = tmp_path / "ids.jsonl"
    path.write_text(path.read_text() + '{"name": "paa-x-1", "par')
    assert made.ids()[2] == "70_2"
    made.submitted(made.plan([[1]]), "71")
    assert made.ids() == {0: "70_0", 1: "71", 2: "70_2"}, "what is noted after it is whole"


def test_a_disk_that_takes_half_a_line_is_told_of(tmp_path, monkeypatch):
    made = sweep(tmp_path)
    write = os.write
    monkeypatch.setattr("paa.launch.ledger.os.write", lambda handle, data: write(handle, data[:9]))
    with pytest.raises(OSError, match="No space left on device"):
        made.plan([[0], [1], [2]])
    monkeypatch.undo()
    made.submitted(made.plan([[0], [1], [2]]), "70")
    assert made.ids()[2] == "70_2"


def test_a_file_that_is_none_is_named(tmp_path):
    (tmp_path / ".sweeps" / "a").mkdir(parents=True)
    (tmp_path / ".sweeps" / "a" / "submitted.json").write_text("[]")
    with pytest.raises(BadRecord, match=r"submitted\.json: does not say what was submitted"):
        Sweep.read(tmp_path / ".sweeps" / "a")
    with pytest.warns(UnreadableRecord, match=r"submitted\.json: does not say what was submitted .*; left out"):
        assert sweeps(tmp_path) == []


def test_done_is_a_record_and_every_evaluation(tmp_path):
    made = sweep(tmp_path / "sweep")
    assert not made.entries[0].done(tmp_path)
    finish(tmp_path, made, 0)
    assert made.entries[0].done(tmp_path)
    (tmp_path / made.entries[0].train_id / "evals" / f"{made.entries[0].evals[0]}.json").unlink()
    assert not made.entries[0].done(tmp_path)
