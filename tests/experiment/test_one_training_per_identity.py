"""However many processes want a training, and however it was cut short, it is done once and whole."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from running import experiment, only_run, train

from paa.engine.core import TrainingCore
from paa.store.paths import runs
from paa.store.record import TrainingRecord


def test_a_corrupt_checkpoint_is_named(here, capsys):
    made = experiment(here / "runs", "schedule.steps=4")
    made.identity.paths.checkpoints.mkdir(parents=True)
    (made.identity.paths.checkpoints / "00000002.pt").write_bytes(b"half")
    ended = train(capsys)
    assert ended.code == 1
    assert "00000002.pt: not a readable checkpoint" in ended.err
    assert "delete it to resume" in ended.err


def test_checkpoints_that_a_kill_right_after_the_record_left_are_removed(here, capsys):
    assert train(capsys).code == 0
    run = only_run(here)
    run.checkpoints.mkdir()
    (run.checkpoints / "00000004.pt").write_bytes(b"x")
    assert "already finished, reusing its results" in train(capsys).out
    assert not run.checkpoints.exists()


def test_killed_between_training_and_evaluation_it_only_evaluates(here, capsys, monkeypatch):
    monkeypatch.setattr("paa.experiment.evaluation.evaluate", lambda *a, **k: 1 / 0)
    assert train(capsys).code == 1
    monkeypatch.undo()
    monkeypatch.chdir(here)
    monkeypatch.setattr(TrainingCore, "losses", lambda *a: 1 / 0)
    ended = train(capsys)
    assert ended.code == 0, ended.err
    assert "resumes at step 4 of 4" in ended.out


def test_a_stop_after_the_last_evaluation_still_ends_a_sweep(here, capsys, monkeypatch):
    plain = TrainingRecord.write

    def stop(self, path):
        plain(self, path)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(TrainingRecord, "write", stop)
    ended = train(capsys, "-m", "seed=0,1")
    assert ended.code == 130
    assert only_run(here).finished
    assert not only_run(here).checkpoints.exists()


def test_a_stop_during_the_last_evaluation_is_heeded(here, capsys, monkeypatch):
    plain = torch.nn.Module.eval

    def stop(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return plain(self)

    monkeypatch.setattr(torch.nn.Module, "eval", stop)
    ended = train(capsys, "-m", "seed=0,1")
    assert ended.code == 143
    assert "stopped by SIGTERM after step 4; everything is saved. Resume with:\n" in ended.out
    assert len(runs(here / "runs")) == 1
    monkeypatch.setattr(torch.nn.Module, "eval", plain)
    again = train(capsys, "-m", "seed=0,1")
    assert again.code == 0, again.err
    assert "resumes at step 4 of 4" in again.out


@pytest.mark.parametrize("if_locked", ["wait", "skip"])
def test_of_eight_processes_that_want_one_training_one_trains(tmp_path, smoke_data, if_locked):
    script = """
import io, os, sys, time
import torch
torch.set_num_threads(1)
from pathlib import Path
from running import experiment
from paa.store.record import TrainingRecord
runs_dir, data, if_locked = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
keys = ["schedule.steps=8", "lock.heartbeat_s=0.2", "lock.stale_s=5"]
made = experiment(runs_dir, f"data.root={data}", f"lock.if_locked={if_locked}", *keys)
start = time.monotonic() + 0.2
children = []
for i in range(8):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            said = io.StringIO()
            sys.stdout = said
            time.sleep(max(0, start - time.monotonic()))
            found = made.run()
            text = said.getvalue()
            trained = "trains on" in text
            busy = "locked by" in text
            code = (1 if trained else 0) + (2 if busy else 0) + (4 if len(found) == 2 else 0) + 8
        finally:
            os._exit(code)
    children.append(child)
print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
print(len(list(made.identity.paths.evals.glob("*.json"))), made.identity.paths.finished)
"""
    command = [sys.executable, "-c", script, str(tmp_path), str(smoke_data), if_locked]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    codes, left = done.stdout.splitlines()[-2:]
    flags = [int(code) - 8 for code in codes.split()]
    assert len(flags) == 8
    assert min(flags) >= 0, "a process failed"
    assert sum(flag & 1 for flag in flags) == 1, "trained more or less than once"
    busy = [flag for flag in flags if flag & 2]
    if if_locked == "wait":
        assert all(flag & 4 for flag in flags), "a process that waited did not get the record"
        assert busy
    else:
        assert len(busy) == 7, "seven found it busy"
        assert not any(flag & 4 for flag in busy), "and left without a record"
    assert left == "2 True"


def test_a_failure_after_the_claim_was_lost_leaves_no_trace_in_the_other_s_folder(here, monkeypatch):
    made = experiment(here / "runs", "schedule.steps=1")
    paths = made.identity.paths
    lost = False

    def fails(*args, **kwargs):
        if lost:
            shutil.rmtree(paths.lock)
        if lost == "unreadable":
            paths.lock.touch()
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(type(made.parts.source), "prepare", fails)
    with pytest.raises(RuntimeError, match="the disk is gone"):
        made.run()
    assert paths.failure.exists()
    paths.log.write_text("")
    with pytest.raises(RuntimeError, match="the disk is gone"):
        made.run()
    log = paths.log.read_text()
    assert log.count("Traceback ") == 1
    assert log.endswith("failed: RuntimeError: the disk is gone\n")
    lost = True
    with pytest.raises(RuntimeError, match="the disk is gone"):
        made.run()
    assert not paths.failure.exists()
    assert paths.log.read_text().count("Traceback ") == 1
    lost = "unreadable"  # the check of the lock raises an OSError of its own
    with pytest.raises(RuntimeError, match="the disk is gone"):
        made.run()
