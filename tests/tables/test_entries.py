"""What has become of rows: done, in part, running, torn; and what their runs do not have in common."""

import json
import shutil
from dataclasses import replace

import pytest
from made import Made, checkpoint

from paa.store.frame import UnreadableRecord
from paa.store.lock import acquire
from paa.store.record import EvaluationRecord, TrainingRecord
from paa.tables.provenance import differences


def test_a_row_tells_how_far_each_seed_is(tmp_path):
    runs = Made(tmp_path)
    runs.row("table1", "x", 2, seeds=(0, 1, 2, 3), done=(0,))
    checkpoint(tmp_path / "tx_1", 12)
    (tmp_path / "tx_2").mkdir()
    with acquire(tmp_path / "tx_2" / "lock", if_locked="skip"):
        (entry,) = runs.entries("table1")
    assert entry.scores(False).missing() == "seed 1: interrupted at step 12 of 30; seed 2: running; seed 3: missing"
    assert list(entry.scores(False).values("AP")) == [0]
    assert [run.begun for run in entry.runs] == [True, True, True, False]
    assert list(entry.scores(True).matches()) == [0]
    assert entry.scores(True).matches()[0].exists()


def test_the_records_of_another_run_are_no_numbers_of_this_one(tmp_path):
    runs = Made(tmp_path)
    runs.row("table1", "x", 2, seeds=(0, 1), done=(0,))
    shutil.copytree(tmp_path / "tx_0", tmp_path / "tx_1")
    with pytest.warns(UnreadableRecord, match="the record of tx_0, which does not belong here"):
        (entry,) = runs.entries("table1")
    assert list(entry.scores(False).values("AP")) == [0]


def test_an_evaluation_of_another_run_or_of_other_weights_is_left_out(tmp_path):
    runs = Made(tmp_path)
    runs.row("table1", "x", 2, seeds=(0, 1))
    shutil.copy(tmp_path / "tx_0" / "evals" / "eval0.json", tmp_path / "tx_1" / "evals" / "eval0.json")
    with pytest.warns(UnreadableRecord, match="the record of tx_0, which does not belong here"):
        (entry,) = runs.entries("table1")
    assert list(entry.scores(False).values("AP")) == [0]
    runs.rewrite("tx_1", True, weights_sha256="e" * 64)
    with pytest.warns(UnreadableRecord, match="evaluated other weights"):
        (entry,) = runs.entries("table1")
    assert list(entry.scores(True).values("AP")) == [0]


def test_of_seeds_that_are_all_alike_one_phrase_is_enough(tmp_path):
    runs = Made(tmp_path)
    runs.row("table1", "x")
    (entry,) = runs.entries("table1")
    assert entry.scores(True).missing() == "missing"
    assert entry.scores(True).values("AP") == {}
    assert entry.scores(True).matches() == {}


def test_a_training_may_lack_an_evaluation_or_its_matches(tmp_path):
    runs = Made(tmp_path)
    runs.row("table1", "x", 2, seeds=(0,))
    folder = tmp_path / "tx_0" / "evals"
    (folder / "eval1.json").unlink()
    (folder / "eval0.npz").unlink()
    (entry,) = runs.entries("table1")
    assert entry.scores(True).missing() == "trained, not evaluated with voting on"
    assert entry.scores(False).missing() == ""
    assert entry.scores(False).values("AP")
    assert entry.scores(False).matches() == {}


def test_what_was_uploaded_has_no_number_until_it_is_scored(tmp_path):
    runs = Made(tmp_path)
    runs.row("table1", "x", 2, seeds=(0,), split="test-dev")
    path = tmp_path / "tx_0" / "evals" / "etest-dev0.json"
    uploaded = replace(EvaluationRecord.read(path), numbers={"AP": None}, upload="a.zip")
    uploaded.write(path)
    (entry,) = runs.entries("table1")
    assert entry.split == "test-dev"
    assert entry.scores(False).missing() == "uploaded, not scored"
    assert entry.scores(False).server() == ""
    replace(uploaded, numbers={"AP": 44.8}, score={"source": "codalab.org", "date": "2026-01-02"}).write(path)
    (entry,) = runs.entries("table1")
    assert entry.scores(False).values("AP") == {0: 44.8}
    assert entry.scores(False).server() == "the evaluation server's numbers (codalab.org, 2026-01-02)"


def test_a_torn_record_is_named_and_counts_as_not_there(tmp_path):
    runs = Made(tmp_path)
    runs.row("table1", "x", 2)
    (tmp_path / "tx_0" / "record.json").write_text("{")
    (tmp_path / "tx_1" / "evals" / "eval0.json").write_text("{")
    with pytest.warns(UnreadableRecord) as told:
        (entry,) = runs.entries("table1")
    assert any("tx_0/record.json: not JSON" in str(w.message) for w in told)
    assert any("tx_1/evals/eval0.json: not JSON" in str(w.message) for w in told)
    assert "seed 0: its record cannot be read" in entry.scores(False).missing()
    assert entry.scores(False).values("AP") == {}


def test_two_names_of_one_training_are_the_same(tmp_path):
    runs = Made(tmp_path)
    runs.row("table1", "c", 2, training="one")
    runs.row("table1", "paa", 2, training="one")
    runs.row("table1", "d", 2)
    c, paa, d = runs.entries("table1")
    assert c.scores(False).ids == paa.scores(False).ids
    assert c.scores(False).ids != d.scores(False).ids
    assert c.scores(False).ids != c.scores(True).ids


def changed(folder, train_id, origin=None, **fields):
    path = folder / train_id / "record.json"
    record = TrainingRecord.read(path)
    hardware = {**record.origin["hardware"], **(origin or {}).pop("hardware", {})}
    replace(record, origin={**record.origin, "hardware": hardware, **(origin or {})}, **fields).write(path)


def test_alike_runs_are_not_warned_of(tmp_path):
    runs = Made(tmp_path)
    runs.row("table1", "a", 2)
    runs.row("table1", "b", 2)
    runs.row("table1", "d")
    assert differences(runs.entries("table1")) == []


def test_a_mixture_of_code_threads_or_machines_is_warned_of(tmp_path):
    runs = Made(tmp_path)
    for name in "abcde":
        runs.row("table1", name, 2, seeds=(0,))
    changed(tmp_path, "ta_0", {"commit": "e" * 40, "clean": False})
    changed(tmp_path, "tb_0", threads=4)
    changed(tmp_path, "tc_0", {"hardware": {"cpu": "another", "gpu": "H100"}}, device="cuda", world_size=8)
    changed(tmp_path, "td_0", {"versions": {"torch": "2.5"}})
    path = tmp_path / "te_0" / "evals" / "eval0.json"
    stored = json.loads(path.read_text())
    stored["origin"]["commit"] = "f" * 40
    path.write_text(json.dumps(stored))
    assert differences(runs.entries("table1")) == [
        "different commits: cccccccccc in 4 runs; eeeeeeeeee in 1 (a seed 0)",
        "different CPU threads: 1 in 4 runs; 4 in 1 (b seed 0)",
        "different devices: cpu in 4 runs; cuda in 1 (c seed 0)",
        "different processors: a processor in 4 runs; another in 1 (c seed 0)",
        "different GPUs: none in 4 runs; H100 in 1 (c seed 0)",
        "different processes: 1 in 4 runs; 8 in 1 (c seed 0)",
        "different versions of torch: 2.4 in 4 runs; 2.5 in 1 (d seed 0)",
        "different commits of the evaluations: cccccccccc in 4 runs; cccccccccc and ffffffffff in 1 (e seed 0)",
        "1 of 5 runs: code that differs from its commit (a seed 0)",
    ]
