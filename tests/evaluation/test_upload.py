"""A split without annotations: the file that an evaluation server takes, in place of numbers."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from running import SHORT, call, only_run, rows, run_cli, smoke_sources

from paa.datasets import Custom
from paa.datasets.formats.coco_index import CocoIndex
from paa.evaluation import Results, evaluate
from paa.evaluation.coco import NUMBERS
from paa.evaluation.upload import write_upload
from paa.runs import collect
from paa.store.record import EvaluationRecord

REPO = Path(__file__).resolve().parents[2]

CATEGORIES = [{"id": 90, "name": "ox"}, {"id": 3, "name": "car"}]


def index(folder: Path, images: int = 5, **more: object) -> CocoIndex:
    """An index of images with ids 100, 101, ... in reverse order."""
    entries = [{"id": 100 + i, "file_name": f"{i}.png", "width": 64, "height": 64} for i in reversed(range(images))]
    path = folder / "truth.json"
    path.write_text(json.dumps({"images": entries, "categories": CATEGORIES, **more}))
    return CocoIndex.read(path, folder, labeled=bool(more))


def results(image_ids: list[int], seed: int = 0) -> Results:
    draw = np.random.default_rng(seed)
    count = len(image_ids)
    return Results(
        image_ids=np.array(image_ids, dtype=np.int64),
        labels=draw.integers(0, 2, count),
        boxes=np.concatenate([draw.uniform(0, 30, (count, 2)), draw.uniform(1, 30, (count, 2))], axis=1),
        scores=draw.random(count).astype(np.float32),
        quality=np.full(count, np.nan, np.float32),
    )


def quietly(function, *arguments):
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments)


def test_the_zip_holds_what_pycocotools_takes(tmp_path):
    found = results([100, 104, 102, 104, 100])
    path = write_upload(tmp_path / "e1.upload", "test-dev2017", "paa-t1", index(tmp_path), found)
    name = "detections_test-dev2017_paa-t1_results"
    assert sorted(p.name for p in path.parent.iterdir()) == [f"{name}.json", f"{name}.zip"]
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [f"{name}.json"]
        text = archive.read(f"{name}.json")
    assert text == path.with_suffix(".json").read_bytes()
    entries = json.loads(text)
    assert {frozenset(entry) for entry in entries} == {frozenset(("image_id", "category_id", "bbox", "score"))}
    order = np.lexsort((-found.scores, found.image_ids))
    assert [e["image_id"] for e in entries] == found.image_ids[order].tolist()
    assert [e["category_id"] for e in entries] == [[3, 90][label] for label in found.labels[order]]
    assert np.abs(np.array([e["bbox"] for e in entries]) - found.boxes[order]).max() <= 0.005 + 1e-9
    assert np.array_equal(np.float32([e["score"] for e in entries]), found.scores[order])
    truth = quietly(COCO, str(tmp_path / "truth.json"))
    assert len(quietly(truth.loadRes, str(path.with_suffix(".json"))).anns) == 5


def test_the_server_s_ap_is_ours(tmp_path):
    """pycocotools reads the file and finds what `evaluate` finds in the detections themselves."""
    draw = np.random.default_rng(1)
    annotations = [
        {"id": i + 1, "image_id": 100 + i % 5, "category_id": [3, 90][i % 2], "bbox": [*box[:2], *(box[2:] + 5)]}
        for i, box in enumerate(draw.integers(0, 30, (20, 4)).astype(float))
    ]
    annotations = [{**a, "area": a["bbox"][2] * a["bbox"][3], "iscrowd": 0} for a in annotations]
    data = index(tmp_path, annotations=annotations)
    near = results([a["image_id"] for a in annotations])
    boxes = np.round(np.array([a["bbox"] for a in annotations]) + draw.normal(0, 1.5, (20, 4)), 2)
    near = Results(near.image_ids, np.array([a["category_id"] == 90 for a in annotations], np.int64), boxes,
                   near.scores, near.quality)  # fmt: skip
    path = write_upload(tmp_path, "val", "x", data, near)
    truth = quietly(COCO, str(tmp_path / "truth.json"))
    worker = COCOeval(truth, quietly(truth.loadRes, str(path.with_suffix(".json"))), "bbox")
    quietly(lambda: (worker.evaluate(), worker.accumulate(), worker.summarize()))
    ours = list(evaluate(data, near).numbers.values())
    assert ours[0] > 5
    assert ours == [None if v == -1 else pytest.approx(100 * v, abs=1e-6) for v in worker.stats]


def test_a_hundred_detections_an_image_and_the_same_bytes_again(tmp_path):
    found = results([100] * 150 + [101] * 3)
    path = write_upload(tmp_path / "a", "test", "x", index(tmp_path), found)
    entries = json.loads(path.with_suffix(".json").read_text())
    scores = [e["score"] for e in entries if e["image_id"] == 100]
    assert len(entries) == 103
    assert np.float32(scores).tolist() == sorted(found.scores[:150].tolist(), reverse=True)[:100]
    again = write_upload(tmp_path / "b", "test", "x", index(tmp_path), found)
    assert again.read_bytes() == path.read_bytes()


def test_no_detections_at_all(tmp_path):
    path = write_upload(tmp_path, "test", "x", index(tmp_path), results([]))
    assert json.loads(path.with_suffix(".json").read_text()) == []


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path, monkeypatch):
    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("paa.evaluation.upload.shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space"):
        write_upload(tmp_path / "up", "test", "x", index(tmp_path), results([100]))
    assert [p.name for p in (tmp_path / "up").iterdir()] == ["detections_test_x_results.json"]
    with pytest.raises(ValueError, match="image id 7 is not in the annotations"):
        write_upload(tmp_path, "test", "x", index(tmp_path), results([7]))


def coco_layout(root: Path, smoke_data: Path) -> Path:
    small, _ = smoke_sources(smoke_data)
    root.mkdir()
    (root / "annotations").mkdir()
    names = {"train": "instances_train2017", "val": "instances_val2017", "test": "image_info_test-dev2017"}
    for split, name in names.items():
        part = small.index(split)
        content = part.to_coco().dataset
        if split == "test":
            del content["annotations"]
        (root / "annotations" / f"{name}.json").write_text(json.dumps(content))
        (root / f"{split}2017").symlink_to(part.image_dir)
    return root


SMALL = tuple(one for one in SHORT if not one.startswith("data."))
"""SHORT for other data than the embedded."""


def uploads(here: Path) -> list[EvaluationRecord]:
    found = [EvaluationRecord.read(p) for p in only_run(here).evals.glob("*.json")]
    return [record for record in found if record.upload]


def check_upload(here: Path, record: EvaluationRecord, name: str, truth: Path) -> None:
    run = only_run(here)
    assert set(record.numbers) == set(NUMBERS)
    assert set(record.numbers.values()) | set(record.per_class.values()) == {None}
    assert record.iou_error is None
    expected = f"evals/{record.eval_id}.upload/detections_{name}_paa-{run.train_id}_results.zip"
    assert record.upload == expected
    entries = json.loads((run.folder / expected).with_suffix(".json").read_text())
    assert len(entries) == record.detections > 0
    loaded = quietly(quietly(COCO, str(truth)).loadRes, str((run.folder / expected).with_suffix(".json")))
    assert len(loaded.anns) == len(entries)


def test_coco_test_dev_at_the_end_of_training_and_later(here, capsys, smoke_data):
    root = coco_layout(here / "coco", smoke_data)
    threshold = "postprocess.score_threshold=0.001"
    ended = call(capsys, "paa.train", *SMALL, "data=coco", f"data.root={root}", "postprocess.voting=false", threshold)
    assert ended.code == 0, ended.err
    assert [row[-9] for row in rows(ended.out)] == ["val"]
    name = only_run(here).train_id
    ended = call(capsys, "paa.evaluate", f"run={name}", "data.split=test-dev")
    assert ended.code == 0, ended.err
    assert [row[-9:] for row in rows(ended.out)] == [["test-dev", "off", *["-"] * 7]]
    (record,) = uploads(here)
    check_upload(here, record, "test-dev2017", root / "annotations/image_info_test-dev2017.json")
    assert f"test-dev, voting off: upload runs/{name}/{record.upload}\n" in ended.out
    # The same evaluation asked for by training is there already: the split is no part of the identity.
    again = call(
        capsys, "paa.train", *SMALL, "data=coco", f"data.root={root}", "postprocess.voting=false", threshold,
        "data.split=test-dev",
    )  # fmt: skip
    assert again.code == 0, again.err
    assert "already finished, reusing its results" in again.out
    (only_run(here).folder / record.upload).unlink()
    gone = call(capsys, "paa.evaluate", f"run={name}", "data.split=test-dev")
    assert "removed" in gone.out
    assert f"runs/{name}/evals/{record.eval_id}.json" in gone.out
    assert "test-dev -" in run_cli("paa.runs", cwd=here).stdout
    shown = run_cli("paa.runs", "show", name, cwd=here)
    assert shown.returncode == 0, shown.stderr
    frame = collect("runs").set_index("split")
    assert frame.loc["test-dev", "upload"] == record.upload
    assert frame["AP"].isna().to_dict() == {"test-dev": True, "val": False}
    tables = [sys.executable, str(REPO / "analysis/make_tables.py")]
    lines = subprocess.run(tables, cwd=here, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 3
    assert sum("test-dev" in line for line in lines) == 1


def test_a_test_set_of_one_s_own_without_annotations(here, capsys, smoke_data):
    root = here / "own"
    coco = coco_layout(here / "coco", smoke_data)
    (root / "annotations").mkdir(parents=True)
    (root / "images").symlink_to(coco / "val2017")
    for split, name in {"train": "instances_val2017", "val": "instances_val2017"}.items():
        (root / f"annotations/{split}.json").write_bytes((coco / f"annotations/{name}.json").read_bytes())
    content = json.loads((root / "annotations/val.json").read_text())
    del content["annotations"]
    (root / "annotations/test.json").write_text(json.dumps(content))
    source = Custom(root, cache_dir=here / "cache")
    assert [source.labeled(split) for split in source.splits] == [True, True, False]
    base = (*SMALL, "data=custom", f"data.root={root}", "data.split=test", "postprocess.score_threshold=0.001")
    refused = call(capsys, "paa.train", *base, "evaluate.every=2")
    assert refused.code == 1
    assert "evaluate.every=2: " in refused.err
    assert "evaluate.splits=[test]" in refused.err
    ended = call(capsys, "paa.train", *base, "evaluate.every=2", "evaluate.splits=[test,val]")
    assert ended.code == 0, ended.err
    assert "step 2  val: AP" in ended.out
    assert len(uploads(here)) == 2  # voting off and on
    for record in uploads(here):
        check_upload(here, record, "test", root / "annotations/test.json")
    assert only_run(here).matches(uploads(here)[0].eval_id).exists() is False
