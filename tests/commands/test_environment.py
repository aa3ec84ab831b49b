"""What surrounds a command costs no training: closed streams, odd folders and names, a damaged record."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import SHORT, call, run_cli, train

from paa.runs import collect
from paa.store.paths import runs


def finished(folder: Path) -> int:
    return sum(run.finished for run in runs(folder))


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", "> /dev/full"])
def test_streams_that_cannot_be_written_lose_text_only(here, streams):
    command = " ".join([sys.executable, "-m", "paa.train", *(f"'{word}'" for word in SHORT), streams])
    assert subprocess.run(command, shell=True, cwd=here, timeout=120, check=False).returncode == 0
    assert finished(here / "runs") == 1


def test_an_ascii_terminal_shows_other_letters_as_escapes(here):
    (here / "runs").rename(here / "l\u00e4ufe")
    ended = run_cli("paa.train", *SHORT, "runs_dir=l\u00e4ufe", cwd=here, PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "runs_dir='l\\xe4ufe'" in ended.stdout
    assert finished(here / "l\u00e4ufe") == 1


def test_hydras_own_folder_for_a_job_changes_no_path(here, capsys):
    words = ["-m", "seed=1,2", "hydra.job.chdir=true"]
    first = train(capsys, *words)
    assert first.code == 0, first.err
    assert "not finished" not in first.out
    assert finished(here / "runs") == 2
    assert Path.cwd() == here
    assert train(capsys, *words).out.count("already finished") == 2


def test_a_damaged_record_is_no_finished_run(here, capsys):
    train(capsys)
    (run,) = runs(here / "runs")
    run.record.write_text('{"kind": "trai')
    ended = train(capsys)
    assert ended.code == 1
    assert f"it is damaged: restore it, or remove runs/{run.train_id} to train again" in ended.err
    assert collect_is_empty(here)


def collect_is_empty(here: Path) -> bool:
    with pytest.warns(UserWarning, match="not JSON"):
        return collect(here / "runs").empty


def test_evaluations_of_other_data_are_told_apart(here, capsys):
    """The same training, measured on four images and on three of them."""
    train(capsys)
    assert "(data " not in call(capsys, "paa.runs").out
    assert train(capsys, "data.val=3").code == 0
    assert len(runs(here / "runs")) == 1
    frame = collect(here / "runs")
    assert sorted(frame["content"].value_counts()) == [2, 2]
    (line,) = (line for line in call(capsys, "paa.runs").out.splitlines() if line.startswith("t"))
    assert line.count("(data ") == 4
    assert all(f"(data {content[:6]})" in line for content in frame["content"])


def test_ctrl_c_before_anything_runs_is_one_line(here):
    command = [sys.executable, "-m", "paa.train", *SHORT, "schedule.steps=100000"]
    process = subprocess.Popen(
        command,
        cwd=here,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) in ((130, "paa.train: interrupted\n"), (-signal.SIGINT, ""), (130, ""))


@pytest.mark.parametrize(
    ("word", "refusal"),
    [
        ("runs_dir=file/runs", "runs_dir=file/runs: Not a directory; must be a folder that can be written"),
        ("--seed=1", "--seed=1: no such flag; a key is set without dashes: seed=1"),
        ("runs_dir=${oc.env:NOPE}", "runs_dir: Environment variable 'NOPE' not found; set it, or say what to use "),
        ("seed='1'", "seed=1: must be an integer from 0 to 2147483647; it is text here"),
        (f"data.root=d{os.fsdecode(bytes([255]))}", "data.root=d\\xff: is not UTF-8; must be a path in UTF-8"),
    ],
)
def test_what_cannot_work_is_one_line_and_leaves_no_folder(here, capsys, word, refusal):
    (here / "file").write_text("")
    before = sorted(here.rglob("*"))
    ended = train(capsys, word)
    assert ended.code == 2
    assert ended.err.startswith(f"paa.train: {refusal}")
    assert ended.err.count("\n") == 1
    assert sorted(here.rglob("*")) == before


def test_paths_need_no_quotes_and_a_variable_may_hold_the_seed(here, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("SEED", "3")
    (here / "b\u00e4r").mkdir()
    ended = call(capsys, "paa.train", "recipe=smoke", "data=custom", "data.root=~/b\u00e4r")
    assert ended.code == 2
    assert f"data.root={here}/b\u00e4r: has no annotations/train.json" in ended.err
    assert train(capsys, "seed='${oc.decode:${oc.env:SEED}}'").code == 0
    assert collect(here / "runs")["seed"].tolist() == [3, 3]
