"""The server's answer: its forms, and what becomes of the record that it belongs to."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from records import evaluation, training

from paa.commands.runs import main
from paa.evaluation.coco import NUMBERS
from paa.runs import collect
from paa.store.paths import RunPaths
from paa.store.record import EvaluationRecord
from paa.store.server_score import BadScore, read_answer

VALUES = (0.448, 0.633, 0.487, 0.265, 0.488, 0.563, 0.353, 0.585, 0.625, 0.418, 0.669, 0.79)
SERVERS = (
    *("AP", "AP_50", "AP_75", "AP_small", "AP_medium", "AP_large"),
    *("AR_max_1", "AR_max_10", "AR_max_100", "AR_small", "AR_medium", "AR_large"),
)
PAIRS = dict(zip(SERVERS, VALUES, strict=True))
ANSWER = "".join(f"{name}: {value}\n" for name, value in PAIRS.items())


def test_the_answer_is_fractions_by_the_server_s_names(tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text(f"set: test-dev\n{ANSWER}")
    assert read_answer(path) == {n: pytest.approx(100 * v) for n, v in zip(NUMBERS, VALUES, strict=True)}
    path.write_text("AP: 0.008\nAP_50: 0.01\n")  # of a detector that has hardly learned: 0.8 percent, not 80
    assert read_answer(path) == {"AP": 0.8, "AP50": 1.0}


def test_minus_one_is_nothing_of_that_size_and_what_is_not_stated_is_missing(tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text("AP: 0.4\nAP_small: -1\n")
    assert read_answer(path) == {"AP": 40.0, "APS": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AP_50: 0.6\n", "AP is missing"),
        ("AP: 0.4\nAP: 0.5\n", "AP occurs twice"),
        ("AP: 44.8\n", r"AP=44\.8: must be a fraction"),
        ("AP: nan\n", "AP=nan: must be a fraction"),
        ("AP: none\n", "AP=none: must be a fraction"),
        ("AP: -0.5\n", r"AP=-0\.5: must be a fraction"),
        ("", "AP is missing"),
    ],
)
def test_what_is_no_answer_is_refused(text, message, tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text(text)
    with pytest.raises(BadScore, match=rf"scores\.txt: {message}"):
        read_answer(path)
    with pytest.raises(BadScore, match="No such file"):
        read_answer(tmp_path / "absent")


@pytest.fixture
def uploads(tmp_path):
    """A run with an evaluation on val and, of test-dev, an upload without and with voting."""
    paths = RunPaths(tmp_path / "runs", "t0000000001")
    training(paths.train_id).write(paths.record)
    evaluation(paths.train_id, 1).write(paths.evaluation("e0000000001"))
    for number, voting in ((2, False), (3, True)):
        record = evaluation(paths.train_id, number, voting)
        none = {"numbers": dict.fromkeys(NUMBERS), "per_class": {}, "iou_error": None, "split": "test-dev"}
        upload = f"evals/{record.eval_id}.upload/x.zip"
        replace(record, **none, upload=upload).write(paths.evaluation(record.eval_id))
    return paths


def test_an_answer_is_entered_with_its_source_and_date(uploads, tmp_path, capsys):
    answer = tmp_path / "scores.txt"
    answer.write_text(ANSWER)
    os.utime(answer, (1_594_000_000, 1_594_000_000))
    options = ["--runs-dir", str(tmp_path / "runs")]
    assert main([*options, "score", "e0000000003", str(answer)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("t0000000001  e0000000003  test-dev: AP 44.8  AP50 63.3  ")
    assert out[1].startswith("from scores.txt, 2020-07-06 ")
    address = "https://codalab.lisn.upsaclay.fr/competitions/7384"
    assert main([*options, "score", "e0000000003", str(answer), "--source", address, "--date", "2020-07-04"]) == 0
    said = capsys.readouterr().out
    assert "(was AP 44.8)" in said
    assert said.endswith(f"from {address}, 2020-07-04\n")
    record = EvaluationRecord.read(uploads.evaluation("e0000000003"))
    assert (record.numbers["AP"], record.numbers["ARL"]) == (44.8, 79.0)
    assert (record.score["source"], record.score["date"]) == (address, "2020-07-04")
    assert record.upload == "evals/e0000000003.upload/x.zip"
    frame = collect(tmp_path / "runs").set_index("eval_id")
    assert list(frame["AP"].fillna(-1)) == [41.0, -1, 44.8]
    assert list(frame["scored_by"].fillna("-")) == ["-", "-", address]
    assert list(frame["scored_on"].fillna("-")) == ["-", "-", "2020-07-04"]


def test_only_one_upload_may_be_meant_and_nothing_else(uploads, tmp_path, capsys):
    answer = tmp_path / "scores.txt"
    answer.write_text(ANSWER)
    before = {path: path.read_bytes() for path in uploads.evals.iterdir()}
    for name, message in {
        "t00": "t00: ambiguous prefix (2 uploads match); must be one of e0000000002 (t0000000001, test-dev, "
        "voting off), e0000000003 (t0000000001, test-dev, voting on)",
        "e0000000001": "e0000000001: no evaluation with an upload in",
        "": ": no evaluation with an upload in",
    }.items():
        assert main(["--runs-dir", str(tmp_path / "runs"), "score", name, str(answer)]) == 1
        assert capsys.readouterr().err.startswith(f"paa.runs: {message}")
    assert main(["--runs-dir", str(tmp_path / "runs"), "score", "e0000000002", str(answer), "--date", "today"]) == 1
    assert "--date today: must be a date" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in uploads.evals.iterdir()} == before


def test_a_folder_of_runs_is_taken_in_either_form_and_a_wrong_one_is_named(uploads, tmp_path, capsys):
    answer = tmp_path / "scores.txt"
    answer.write_text(ANSWER)
    assert main(["score", "e0000000003", str(answer), f"runs_dir={tmp_path / 'runs'}"]) == 0
    assert main(["score", "e0000000003", str(answer), f"runs_dir={tmp_path / 'absent'}"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"paa.runs: --runs-dir {tmp_path / 'absent'}: no such folder")
    assert said.count("\n") == 1
