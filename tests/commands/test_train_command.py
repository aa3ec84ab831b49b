"""`python -m paa.train`: a run, a sweep, what is reused, what fails. Within this process where it can be."""

from __future__ import annotations

import json
import re

import pytest
import torch
from running import TINY, call, only_run, rows, run_cli, train

from paa.engine import checkpoint
from paa.engine.core import TrainingCore
from paa.engine.metrics import read
from paa.store import failure
from paa.store.paths import RunPaths, runs
from paa.store.status import run_status


def test_one_run_in_an_empty_folder_and_again(tmp_path):
    """As a process of its own: draws data, trains, evaluates, prints the table; then there is nothing left to do."""
    first = run_cli("paa.train", *TINY, "schedule.steps=25", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert re.search(r"^t\w{10}  trains on 12 images, \d+ boxes, 10 classes$", first.stdout, re.M)
    assert re.search(r"^t\w{10}  20/25  loss \d\.\d+ \(cls .* img/s  \d+:\d\d left$", first.stdout, re.M)
    assert [row[-9:-7] for row in rows(first.stdout)] == [["val", "off"], ["val", "on"]]
    run = only_run(tmp_path)
    assert sorted(p.name for p in run.folder.iterdir()) == [
        "config.yaml",
        "evals",
        "lock",
        "log",
        "metrics.jsonl",
        "record.json",
        "weights.pt",
    ]
    assert sorted(p.suffix for p in run.evals.iterdir()) == [".json", ".json", ".npz", ".npz"]
    before = {p: p.stat().st_mtime_ns for p in run.folder.rglob("*")}
    again = run_cli("paa.train", *TINY, "schedule.steps=25", cwd=tmp_path)
    assert again.returncode == 0
    assert again.stdout.splitlines()[0] == f"{run.train_id}  already finished, reusing its results"
    assert rows(again.stdout) == rows(first.stdout)
    assert {p: p.stat().st_mtime_ns for p in run.folder.rglob("*")} == before


def test_a_sweep_prints_its_table_and_jobs_of_one_identity_train_once(here, capsys):
    ended = train(capsys, "-m", "assign.boundary=fnp,fsr,paa,c")
    assert ended.code == 0, ended.err
    table = rows(ended.out)
    assert [row[1] for row in table] == [f"assign.boundary={b}" for b in ("fnp", "fsr", "paa", "c") for _ in range(2)]
    assert [row[2:4] for row in table] == [["val", "off"], ["val", "on"]] * 4
    assert len(runs(here / "runs")) == 3
    assert table[4][0] == table[6][0]
    assert f"{table[4][0]}  already finished, reusing its results" in ended.out


def test_a_row_of_a_table_is_the_same_training_as_its_keys(here, capsys):
    assert train(capsys, "table1=fnp_5").code == 0
    again = train(capsys, "assign.boundary=fnp", "assign.boundary.n=5")
    assert "already finished, reusing its results" in again.out


def test_what_cannot_change_a_number_trains_nothing_anew(here, capsys):
    assert train(capsys).code == 0
    again = train(capsys, "workers=1", "tracking.log_every=3", "checkpoint.every=2", "train.accumulate=2")
    assert "already finished, reusing its results" in again.out


def test_another_split_is_evaluated_without_training(here, capsys):
    assert train(capsys).code == 0
    weights = only_run(here).weights.stat().st_mtime_ns
    ended = train(capsys, "evaluate.splits=[val,test]")
    assert ended.code == 0, ended.err
    assert [row[-9:-7] for row in rows(ended.out)] == [[s, v] for s in ("val", "test") for v in ("off", "on")]
    assert only_run(here).weights.stat().st_mtime_ns == weights
    assert "trains on" not in ended.out


@pytest.fixture
def poison(monkeypatch):
    """Makes trainings of seed 1 fail in their second step, by whatever is called."""

    def fail(how):
        plain = TrainingCore.losses

        def losses(self, batch, progress):
            numbers = plain(self, batch, progress)
            if progress > 0 and torch.initial_seed() == 1:
                how(numbers)
            return numbers

        monkeypatch.setattr(TrainingCore, "losses", losses)

    return fail


def test_a_training_without_evaluations_ends_as_finished(here, capsys):
    ended = train(capsys, "evaluate.splits=[]", "schedule.steps=2")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1].endswith("finished; no evaluation was requested")
    assert only_run(here).finished


def test_a_failed_job_does_not_hide_the_others(here, capsys, poison):
    poison(lambda numbers: numbers[0].fill_(float("nan")))
    ended = train(capsys, "-m", "seed=0,1,2")
    assert ended.code == 1
    table = rows(ended.out)
    assert [row[1] for row in table] == ["seed=0", "seed=0", "seed=1", "seed=2", "seed=2"]
    line = next(line for line in ended.out.splitlines() if line.startswith(f"{table[2][0]}  seed=1  failed: "))
    assert "  failed: the loss of step 2 is not finite: cls nan, box " in line
    assert "image ids " in line
    assert ended.err.startswith(f"{table[2][0]}  failed: the loss of step 2 is not finite")
    assert "Traceback" not in ended.err + ended.out
    failed = RunPaths(here / "runs", table[2][0])
    assert "failed: the loss of step 2" in failed.log.read_text()
    assert failure.read(failed).reason.startswith("the loss of step 2 is not finite: cls nan, box ")
    assert run_status(failed).kind == "failed"
    assert not RunPaths(here / "runs", table[0][0]).failure.exists()


def test_a_fault_of_the_program_shows_its_traceback_and_hides_no_other_job(here, capsys, poison):
    broken = True

    def crash(numbers):
        if broken:
            raise RuntimeError("out of paper")

    poison(crash)
    ended = train(capsys, "-m", "seed=1,0")
    assert ended.code == 1
    assert "Traceback (most recent call last)" in ended.err
    assert "RuntimeError: out of paper" in ended.err
    assert [row[1] for row in rows(ended.out)] == ["seed=1", "seed=0", "seed=0"]
    assert "failed: RuntimeError: out of paper" in ended.out
    alone = train(capsys, "seed=1")
    assert alone.code == 1
    assert "RuntimeError: out of paper" in alone.err
    run = RunPaths(here / "runs", rows(ended.out)[0][0])
    assert failure.read(run).line == "RuntimeError: out of paper"
    broken = False
    assert train(capsys, "seed=1").code == 0
    assert not run.failure.exists()


def test_evaluations_during_training_are_in_the_metrics(here, capsys):
    ended = train(capsys, "evaluate.every=2", "tracking.log_every=2")
    assert ended.code == 0, ended.err
    lines = read(only_run(here).metrics)
    assert [(line["step"], "AP" in line) for line in lines] == [(2, False), (2, True), (4, False)]
    assert {name: lines[1][name] for name in ("split", "voting")} == {"split": "val", "voting": True}
    assert re.search(r"step 2  val: AP \d+\.\d", ended.out)


def test_the_weights_are_the_record_s(here, capsys):
    assert train(capsys).code == 0
    run = only_run(here)
    state = checkpoint.load(run.weights)
    module = torch.nn.Module()
    module.state_dict = lambda: state  # type: ignore[method-assign, assignment]
    assert checkpoint.weights_digest(module) == json.loads(run.record.read_text())["weights_sha256"]


def test_debug_limit_takes_a_few_images_and_steps(here, capsys):
    ended = call(capsys, "paa.train", *TINY, "workers=0", "debug=limit", "debug.images=3")
    assert ended.code == 0, ended.err
    assert "trains on 3 images" in ended.out
    assert json.loads(only_run(here).record.read_text())["steps"] == 10
    records = [json.loads(p.read_text()) for p in only_run(here).evals.glob("*.json")]
    assert {r["images"] for r in records} == {3}


def test_debug_overfit_evaluates_on_what_it_trained_on_without_flips(here, capsys):
    ended = train(capsys, "debug=overfit")
    assert ended.code == 0, ended.err
    assert [row[-9] for row in rows(ended.out)] == ["train", "train"]
    assert "flip: 0.0" in only_run(here).config.read_text()


def test_debug_profile_leaves_a_table_and_a_trace(here, capsys):
    ended = call(capsys, "paa.train", *TINY, "workers=0", "debug=profile", "debug.profile=2", "schedule.steps=14")
    assert ended.code == 0, ended.err
    run = only_run(here)
    assert "Self CPU" in (run.folder / "profile.txt").read_text()
    assert json.loads((run.folder / "profile.json").read_text())["traceEvents"]
