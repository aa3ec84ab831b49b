"""`python -m paa.evaluate` and `python -m paa.predict`, as a user types them, within this process."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import call, experiment, only_run, rows, train

from paa.engine.signals import Interrupted
from paa.evaluation.coco import NUMBERS
from paa.experiment.experiment import Experiment


@pytest.fixture(scope="module")
def finished(tmp_path_factory, smoke_data):
    """A folder with a finished run, and what a user may take for images; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("finished")
    experiment(folder / "runs", "schedule.steps=2", f"data.root={smoke_data}").run()
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken/x.png").write_text("no pixels")
    return folder


@pytest.fixture
def trained(finished, monkeypatch):
    monkeypatch.chdir(finished)
    return finished


def test_evaluate_with_other_settings_trains_nothing_and_each_once(here, capsys):
    assert train(capsys, "postprocess.voting=true").code == 0
    run = only_run(here)
    ended = call(capsys, "paa.evaluate", "-m", f"run={run.train_id[:6]}", "postprocess.voting=false,true")
    assert ended.code == 0, ended.err
    table = rows(ended.out)
    assert [(row[1].lower(), row[3]) for row in table] == [
        ("postprocess.voting=false", "off"),
        ("postprocess.voting=true", "on"),
    ]
    assert "already finished, reusing its results" in ended.out
    assert len(list(run.evals.glob("*.json"))) == 2
    ended = call(capsys, "paa.evaluate", f"run={run.train_id}", "postprocess.sigma_t=0.5", "evaluate.splits=[test]")
    assert [row[-9:-7] for row in rows(ended.out)] == [["test", "on"]]
    assert len(list(run.evals.glob("*.json"))) == 3
    assert "trains on" not in ended.out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["run=tzz"], "run=tzz: "),
        (["postprocess.voting=true"], "run is missing: "),
        (["run=t", "assign.topk=3"], "assign.topk: "),
        (["run=t", "postprocess.voting=true,false"], "postprocess.voting=true,false: "),
        (["run=t", "postprocess.sigma_t=0"], "postprocess.sigma_t=0 "),
    ],
)
def test_evaluate_refuses_in_a_line(trained, capsys, arguments, reason):
    ended = call(capsys, "paa.evaluate", *arguments)
    assert ended.code == 2
    assert ended.err.startswith(f"paa.evaluate: {reason}")
    assert ended.err.count("\n") == 1


def test_an_evaluation_that_fails_hides_no_other(here, capsys, monkeypatch):
    assert train(capsys).code == 0
    run = only_run(here)
    plain = Experiment.run

    def fail(self):
        if self.parts.config["postprocess"]["sigma_t"] == 0.5:
            raise OSError("no room on the disk")
        return plain(self)

    monkeypatch.setattr(Experiment, "run", fail)
    ended = call(capsys, "paa.evaluate", "-m", f"run={run.train_id}", "postprocess.sigma_t=0.5,0.25")
    assert ended.code == 1
    assert "postprocess.sigma_t=0.5   failed: no room on the disk" in ended.out


@pytest.mark.parametrize(("stop", "code"), [(Interrupted(signal.SIGTERM, 4), 143), (KeyboardInterrupt(), 130)])
def test_a_sweep_that_is_stopped_shows_what_is_done(here, capsys, monkeypatch, stop, code):
    assert train(capsys, "postprocess.voting=true").code == 0
    plain = Experiment.run

    def run(self):
        if self.parts.config["postprocess"]["sigma_t"] == 0.5:
            raise stop
        return plain(self)

    monkeypatch.setattr(Experiment, "run", run)
    ended = call(capsys, "paa.evaluate", "-m", f"run={only_run(here).train_id}", "postprocess.sigma_t=0.25,0.5,0.75")
    assert ended.code == code
    done, stopped, never = rows(ended.out)
    assert done[1:4] == ["postprocess.sigma_t=0.25", "val", "on"]
    assert stopped[1:] == ["postprocess.sigma_t=0.5", "not", "finished"]
    assert never[1:] == ["postprocess.sigma_t=0.75", "not", "finished"]


def test_evaluations_that_find_nothing_are_ap_0(here, capsys):
    ended = train(capsys, "postprocess.score_threshold=0.999", "evaluate.splits=[val,test]")
    assert ended.code == 0, ended.err
    for row in rows(ended.out):
        assert row[-7:-4] == ["0.0", "0.0", "0.0"], row
        assert row[-1] == "-"
    records = [json.loads(p.read_text()) for p in only_run(here).evals.glob("*.json")]
    assert {r["numbers"]["AP"] for r in records} == {0.0}
    assert {r["detections"] for r in records} == {0}
    assert set(records[0]["numbers"]) == set(NUMBERS)


def photos(folder: Path) -> Path:
    """Three images of two sizes in two folders, two of which differ in their ending alone."""
    draw = np.random.default_rng(0)
    for name, size in {"a.jpg": (90, 60), "a.png": (64, 64), "more/b.png": (40, 100)}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 255, (*size, 3), dtype=np.uint8)).save(path)
    (folder / "notes.txt").write_text("no image")
    return folder


def test_predict_writes_coco_results_and_pictures(here, capsys):
    assert train(capsys).code == 0
    run = only_run(here)
    photos(here / "photos")
    threshold = "postprocess.score_threshold=0.001"
    ended = call(capsys, "paa.predict", "run=t", "images=photos", "out=found", "score=0.01", threshold)
    assert ended.code == 0, ended.err
    found = json.loads((here / "found/detections.json").read_text())
    assert found
    names = {"a.jpg": 1, "a.png": 2, "more/b.png": 3}
    categories = {pair[0] for pair in json.loads(run.record.read_text())["categories"]}
    for one in found:
        assert set(one) == {"image_id", "category_id", "bbox", "score", "file_name"}
        assert names[one["file_name"]] == one["image_id"]
        assert one["category_id"] in categories
        assert len(one["bbox"]) == 4
        assert 0 < one["score"] < 1
    pictures = here / "found/pictures"
    assert sorted(str(p.relative_to(pictures)) for p in pictures.rglob("*.png")) == ["a.jpg.png", "a.png", "more/b.png"]
    assert Image.open(pictures / "a.png").size[0] >= 480  # small images are enlarged, so that names can be read
    assert f"{len(found)} detections on 3 images" in ended.out
    alone = call(capsys, "paa.predict", "run=t", "images=photos/a.png", "out=one", "pictures=false")
    assert alone.code == 0, alone.err
    assert sorted(p.name for p in (here / "one").iterdir()) == ["detections.json"]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["run=t", "images=nowhere", "out=found"], 1, "images=nowhere: "),
        (["run=t", "images=empty", "out=found"], 1, "images=empty: "),
        (["run=t", "images=broken", "out=found"], 1, "broken/x.png: "),
        (["run=t", "out=found"], 2, "images is missing: "),
        (["run=t", "images=empty"], 2, "out is missing: "),
        (["run=t", "images=empty", "out=o", "score=2"], 2, "score=2 "),
        (["run=t", "images=empty", "out=o", "score=x"], 2, "score=x: "),
        (["run=t", "images=empty", "out=o", "pictures=3"], 2, "pictures=3: "),
    ],
)
def test_predict_refuses_in_a_line(trained, capsys, arguments, code, reason):
    ended = call(capsys, "paa.predict", *arguments)
    assert ended.code == code
    assert ended.err.startswith(f"paa.predict: {reason}")
    assert ended.err.count("\n") == 1
    assert not (trained / "found").exists()


def test_a_run_without_its_weights_is_finished_and_says_what_it_lacks(here, capsys):
    assert train(capsys).code == 0
    run = only_run(here)
    run.weights.write_bytes(b"half")
    ended = call(capsys, "paa.evaluate", f"run={run.train_id}", "postprocess.sigma_t=0.5")
    assert ended.code == 1
    assert "weights.pt: not a readable checkpoint" in ended.err
    assert f"remove runs/{run.train_id} to train it again" in ended.err
    run.weights.unlink()
    assert "already finished, reusing its results" in train(capsys).out
    ended = call(capsys, "paa.evaluate", f"run={run.train_id}", "postprocess.sigma_t=0.5")
    assert ended.code == 1
    assert "its weights were removed" in ended.err
    photos(here / "photos")
    assert "its weights were removed" in call(capsys, "paa.predict", "run=t", "images=photos", "out=o").err
