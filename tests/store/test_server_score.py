"""The server's answer: its forms, and what becomes of the record that it belongs to."""

from __future__ import annotations

import json
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
SUMMARY = """\
Evaluate annotation type *bbox*
 Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.448
 Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.633
 Average Precision  (AP) @[ IoU=0.75      | area=   all | maxDets=100 ] = 0.487
 Average Precision  (AP) @[ IoU=0.50:0.95 | area= small | maxDets=100 ] = 0.265
 Average Precision  (AP) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ] = 0.488
 Average Precision  (AP) @[ IoU=0.50:0.95 | area= large | maxDets=100 ] = 0.563
 Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=  1 ] = 0.353
 Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets= 10 ] = 0.585
 Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.625
 Average Recall     (AR) @[ IoU=0.50:0.95 | area= small | maxDets=100 ] = 0.418
 Average Recall     (AR) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ] = 0.669
 Average Recall     (AR) @[ IoU=0.50:0.95 | area= large | maxDets=100 ] = 0.790
"""
PAIRS = dict(zip(SERVERS, VALUES, strict=True))
FORMS = {
    "json": json.dumps(PAIRS),
    "list": json.dumps([PAIRS]),
    "within": json.dumps({"phase": "test-dev", "result": [{"test_split": PAIRS}]}),
    "lines": "".join(f"{name}: {value}\n" for name, value in PAIRS.items()),
    "summary": SUMMARY,
    "percent": "".join(f"{name} = {100 * value:g}\n" for name, value in PAIRS.items()),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_answer_is_read(form, tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text(FORMS[form])
    assert read_answer(path) == {n: pytest.approx(100 * v) for n, v in zip(NUMBERS, VALUES, strict=True)}


def test_minus_one_is_nothing_of_that_size_and_what_is_not_stated_is_missing(tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text("AP: 0.4\nAP_small: -1\n")
    assert read_answer(path) == {"AP": 40.0, "APS": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AP50: 0.6\n", r"scores\.txt: holds no AP; must be the server's JSON"),
        ("AP: 0.4\nAP: 0.5\n", r"states AP twice, 0\.4 and 0\.5"),
        ("AP: 448\n", r"AP=448: must be a fraction or a percentage"),
        ("AP: nan\n", r"holds no AP"),
        ('{"AP": -0.5}', r"AP=-0\.5: must be"),
        ("", r"holds no AP"),
    ],
)
def test_what_is_no_answer_is_refused(text, message, tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text(text)
    with pytest.raises(BadScore, match=message):
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
    answer = tmp_path / "scores.json"
    answer.write_text(FORMS["json"])
    os.utime(answer, (1_594_000_000, 1_594_000_000))
    options = ["--runs-dir", str(tmp_path / "runs")]
    assert main([*options, "score", "e0000000003", str(answer)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("t0000000001  e0000000003  test-dev: AP 44.8  AP50 63.3  ")
    assert out[1].startswith("from scores.json, 2020-07-06 ")
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
    answer = tmp_path / "scores.json"
    answer.write_text(FORMS["json"])
    before = {path: path.read_bytes() for path in uploads.evals.iterdir()}
    for name, message in {
        "t00": "t00: 2 evaluations with an upload are meant; say which: e0000000002 (t0000000001, test-dev, voting "
        "off), e0000000003 (t0000000001, test-dev, voting on)",
        "e0000000001": "e0000000001: no evaluation in",
        "": ": no evaluation in",
    }.items():
        assert main(["--runs-dir", str(tmp_path / "runs"), "score", name, str(answer)]) == 1
        assert capsys.readouterr().err.startswith(f"paa.runs: {message}")
    assert main(["--runs-dir", str(tmp_path / "runs"), "score", "e0000000002", str(answer), "--date", "today"]) == 1
    assert "--date today: must be a day" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in uploads.evals.iterdir()} == before


def test_a_folder_of_runs_is_taken_in_either_form_and_a_wrong_one_is_named(uploads, tmp_path, capsys):
    answer = tmp_path / "scores.json"
    answer.write_text(FORMS["json"])
    assert main(["score", "e0000000003", str(answer), f"runs_dir={tmp_path / 'runs'}"]) == 0
    assert main(["score", "e0000000003", str(answer), f"runs_dir={tmp_path / 'absent'}"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"paa.runs: --runs-dir {tmp_path / 'absent'}: must be the folder")
    assert said.count("\n") == 1
