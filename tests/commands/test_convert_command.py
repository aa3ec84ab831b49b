"""`python -m paa.convert`, as a user types it, and what others make of the run: evaluate, predict, runs, tables."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import mmdet_checkpoints
import numpy as np
import pytest
import torch
from PIL import Image
from running import call, loaded, rows

from paa.conversion.classes import coco
from paa.experiment.init_weights import InitWeights
from paa.experiment.parts import assemble
from paa.runs import collect
from paa.store.identity import converted_id, train_id
from paa.store.paths import RunPaths, runs
from paa.store.record import TrainingRecord
from paa.store.status import RunStatus, run_status

SMALL = ("images.test.short=64", "images.test.longest=null", "images.test.batch_size=2")
PAA = {"config": "model = dict(bbox_head=dict(type='PAAHead'))"}


def weights() -> dict[str, torch.Tensor]:
    """MMDetection's PAA with a ResNet-18, small enough for a test, with random numbers."""
    return dict(drawn())


@cache
def drawn() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    out = {}
    for name, shape in mmdet_checkpoints.read()["PAA R-18"].items():
        value = torch.randn(shape, generator=draw)
        if name.endswith("num_batches_tracked"):
            value = torch.tensor(7)
        elif len(shape) == 4:
            value /= (value[0].numel()) ** 0.5
        elif name.endswith(("weight", "var", "scale")):
            value = 0.5 + value.abs() / 2
        out[name] = value
    return out


def save(path: Path, state: dict[str, torch.Tensor], meta: dict[str, Any] | None = None) -> Path:
    torch.save({"meta": meta or {}, "state_dict": state}, path)
    return path


def write_data(root: Path, categories: list[list[Any]]) -> None:
    """Two images with one box each, in the layout of data=custom; the validation split alone."""
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    draw = np.random.default_rng(0)
    listed: dict[str, Any] = {"images": [], "annotations": []}
    listed["categories"] = [{"id": i, "name": name} for i, name in categories]
    for i in (1, 2):
        Image.fromarray(draw.integers(0, 255, (64, 80, 3), dtype=np.uint8)).save(root / "images" / f"{i}.png")
        listed["images"].append({"id": i, "file_name": f"{i}.png", "width": 80, "height": 64})
        box = {"id": i, "image_id": i, "category_id": categories[0][0], "bbox": [8, 8, 40, 30], "iscrowd": 0}
        listed["annotations"].append({**box, "area": 1200})
    (root / "annotations" / "val.json").write_text(json.dumps(listed))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with in.pth, data/ and runs/, into which in.pth was converted; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("converted")
    write_data(folder / "data", coco())
    save(folder / "in.pth", weights(), PAA)
    return folder


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(made)
    if not (made / "runs").exists():
        ended = call(capsys, "paa.convert", "in.pth", "runs", "data=custom", "data.root=data", *SMALL)
        assert ended.code == 0, ended.err
        assert "in.pth: paa of MMDetection, ResNet-18, 80 classes of data.root=data\n" in ended.out
    return made


def the_run(here: Path) -> RunPaths:
    (run,) = runs(here / "runs")
    return run


def test_the_folder_is_that_of_a_finished_run_that_was_not_trained_here(here):
    run = the_run(here)
    assert run.finished
    assert run.converted
    assert sorted(p.name for p in run.folder.iterdir() if p.is_file()) >= ["config.yaml", "record.json", "weights.pt"]
    record = TrainingRecord.read(run.record)
    assert record.converted["kind"] == "mmdet"
    assert record.converted["file"] == "in.pth"
    assert len(record.converted["sha256"]) == 64
    assert (record.steps, record.wall_s, record.source) == (0, 0.0, "mmdet: in.pth")
    assert record.categories == coco()
    assert run_status(run) == RunStatus("done", detail="converted")
    assert torch.equal(loaded(run).state_dict()["backbone.conv1.weight"], weights()["backbone.conv1.weight"])


def test_its_identity_is_no_trainings_and_follows_from_weights_and_configuration(here, capsys):
    run = the_run(here)
    record = TrainingRecord.read(run.record)
    assert run.train_id[0] == "x"
    assert converted_id(record.config, record.weights_sha256) == run.train_id
    digests = dict.fromkeys(("data.train", "backbone.weights"), record.weights_sha256)
    assert train_id(record.config, digests)[1:] == run.train_id[1:]
    assert converted_id(record.config, "0" * 64) != run.train_id
    before = run.record.stat().st_mtime_ns
    again = call(capsys, "paa.convert", "in.pth", "runs", "data=custom", "data.root=data", *SMALL)
    assert again.code == 0
    assert f"{run.train_id}  already imported: runs/{run.train_id}" in again.out
    assert run.record.stat().st_mtime_ns == before


def test_evaluate_takes_it_and_says_what_it_is(here, capsys):
    run = the_run(here)
    ended = call(capsys, "paa.evaluate", "-m", "run=x", "postprocess.voting=false,true", "workers=0")
    assert ended.code == 0, ended.err
    said = f"{run.train_id}  was imported from mmdet: in.pth; not trained here\n"
    assert ended.out.count(said) == 1
    assert [[row[1].lower(), *row[2:4]] for row in rows(ended.out)] == [
        ["postprocess.voting=false", "val", "off"],
        ["postprocess.voting=true", "val", "on"],
    ]
    records = [json.loads(path.read_text()) for path in run.evals.glob("*.json")]
    assert all(record["detections"] > 0 for record in records)


def test_evaluate_says_which_data_it_wants(here, capsys):
    ended = call(capsys, "paa.evaluate", "run=x", "data.root=nowhere")
    assert ended.code == 2
    assert ended.err.startswith("paa.evaluate: data.root=nowhere: no such folder; must be a folder with images/, ")


def test_predict_needs_no_data_set(here, capsys, tmp_path):
    moved = here / "elsewhere"
    (here / "data").rename(moved)
    try:
        words = ("run=x", f"images={moved / 'images'}", f"out={tmp_path}", "workers=0", "pictures=false")
        ended = call(capsys, "paa.predict", *words)
        assert ended.code == 0, ended.err
        assert "was imported from mmdet: in.pth; not trained here" in ended.out
    finally:
        moved.rename(here / "data")
    found = json.loads((tmp_path / "detections.json").read_text())
    assert found
    assert {one["category_id"] for one in found} <= {i for i, _ in coco()}


def test_lists_and_tables_show_where_it_comes_from_and_nothing_of_a_training(here, capsys, monkeypatch):
    run = the_run(here)
    listed = call(capsys, "paa.runs").out.splitlines()[1].split()
    assert listed[:7] == [run.train_id, "done:", "converted", "converted", "custom", "paa", "iou"]
    shown = call(capsys, "paa.runs", "show", "x").out
    assert "converted file       in.pth" in shown
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = collect("runs")
    assert set(frame["converted"]) == {"mmdet: in.pth"}
    for name in ("seed", "steps", "lr", "boundary", "topk", "batch_size"):
        assert frame[name].isna().all(), name
    assert set(frame["backbone"]) == {"resnet18"}


def test_a_training_can_start_from_it(here):
    run = the_run(here)
    config = {**TrainingRecord.read(run.record).config, "finetune": {"from": run.train_id}, "runs_dir": "runs"}
    parts = assemble(config)
    start = InitWeights.of(parts.config)
    assert start is not None
    detector = parts.detector(80, load_weights=False)
    assert start.into(detector, parts.config, coco()) == f"starts from the weights of {run.train_id}"
    assert torch.equal(detector.state_dict()["fpn.p7.weight"], loaded(run).state_dict()["fpn.p7.weight"])


def test_a_run_without_its_weights_says_how_to_have_them_again(here, capsys):
    run, away = the_run(here), here / "weights.away"
    run.weights.rename(away)
    try:
        assert run_status(run) == RunStatus("done", detail="converted, weights removed")
        ended = call(capsys, "paa.evaluate", "run=x", "postprocess.sigma_t=0.5", "workers=0")
        assert f"its weights were removed; remove runs/{run.train_id} to import it again" in ended.err
        again = call(capsys, "paa.convert", "in.pth", "runs", "data=custom", "data.root=data", *SMALL)
        assert again.code == 0
        assert run.weights.exists()
    finally:
        away.replace(run.weights)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.pth", "runs"], "none.pth: "),
        (["in.pth", "in.pth/runs"], "in.pth/runs: "),
        (["in.pth", "in.pth"], "in.pth: "),
        (["in.pth", "runs", "assign.topc=3"], "assign.topc: "),
        (["in.pth", "runs", "data=custom"], "data.root is missing: "),
    ],
)
def test_what_is_refused_in_a_line(here, capsys, words, message):
    before = sorted(p.name for p in (here / "runs").iterdir())
    ended = call(capsys, "paa.convert", *words)
    assert ended.code == 2
    assert ended.err.startswith(f"paa.convert: {message}")
    assert ended.err.count("\n") == 1
    assert sorted(p.name for p in (here / "runs").iterdir()) == before


def refused(capsys: pytest.CaptureFixture[str], folder: Path, state: dict[str, torch.Tensor], *words: str) -> list[str]:
    save(folder / "bad.pth", state, PAA)
    ended = call(capsys, "paa.convert", str(folder / "bad.pth"), str(folder / "out"), *words)
    assert ended.code == 2
    assert not runs(folder / "out")
    assert "Traceback" not in ended.err
    return ended.err.replace(str(folder / "bad.pth"), "BAD").splitlines()


def test_missing_wrong_and_left_over_names_are_one_line_each(tmp_path, capsys):
    state = weights()
    del state["backbone.layer2.1.conv2.weight"], state["neck.fpn_convs.4.conv.bias"]
    state["bbox_head.atss_reg.weight"] = torch.zeros(8, 256, 3, 3)
    state["backbone.stem.0.weight"] = state["bbox_head.extra.weight"] = torch.zeros(1)
    assert refused(capsys, tmp_path, state) == [
        "paa.convert: BAD: not the weights of this network",
        "  missing, by paa's names: backbone.layer2.1.conv2.weight, fpn.p7.bias",
        "  of another shape: bbox_head.atss_reg.weight [8, 256, 3, 3], must be [4, 256, 3, 3]",
        "  left over: backbone.stem.0.weight, bbox_head.extra.weight",
    ]


def test_what_a_file_does_not_say_has_to_be_said(tmp_path, capsys):
    state = weights()
    save(tmp_path / "silent.pth", state)
    ended = call(capsys, "paa.convert", str(tmp_path / "silent.pth"), str(tmp_path / "out"))
    assert ended.code == 2
    assert (
        "does not say what it was trained with, and its names fit several; add assign=paa or assign=atss" in ended.err
    )
    ended = call(capsys, "paa.convert", str(tmp_path / "silent.pth"), str(tmp_path / "out"), "assign=atss")
    assert ended.code == 0, ended.err
    (run,) = runs(tmp_path / "out")
    config = TrainingRecord.read(run.record).config
    assert config["auxiliary"]["_target_"] == "paa.auxiliary.Centerness"
    node = config["postprocess"]
    assert (node["voting"], node["unified"], node["threshold_on"]) == (False, "product", "class")
    assert (node["ranked_by"], node["drop_empty"]) == ("class", True)
    assert config["criterion"]["normalizer"] == "mmdet_atss"


def test_names_of_classes_put_the_outputs_in_order(tmp_path, capsys):
    names = [name for _, name in coco()]
    state = weights()
    half = {**state, "neck.fpn_convs.4.conv.bias": state["neck.fpn_convs.4.conv.bias"].half()}
    save(tmp_path / "in.pth", half, {**PAA, "CLASSES": tuple(reversed(names))})
    ended = call(capsys, "paa.convert", str(tmp_path / "in.pth"), str(tmp_path / "out.pth"))
    assert ended.code == 0, ended.err
    converted = torch.load(tmp_path / "out.pth", weights_only=True)
    assert converted["convention"] == "torchvision"
    assert torch.equal(converted["state"]["head.cls_logits.bias"], state["bbox_head.atss_cls.bias"].flip(0))
    assert converted["state"]["fpn.p7.bias"].dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda s: {k: v for k, v in s.items() if "atss" not in k},
            "BAD: has names of no detector that is known here (backbone.bn1.bias, ",
        ),
        (
            lambda s: {k: v[:7] if "atss_cls" in k else v for k, v in s.items()},
            "BAD: its head has 7 outputs, which are not COCO's classes; say which they are: data=custom data.root=DIR",
        ),
        (
            lambda s: s | {"backbone.layer4.5.conv1.weight": torch.zeros(1)},
            "BAD: its backbone has [2, 2, 2, 6] basic blocks: must be a form of ResNet-18, ",
        ),
        (
            lambda s: {k: v for k, v in s.items() if "scales.2" not in k},
            "BAD: scalars of the levels [0, 1, 3, 4]: must be those of all levels from 0 on",
        ),
        (
            lambda s: s | {"bbox_head.cls_convs.1.conv.conv_offset.weight": torch.zeros(27, 256, 3, 3)},
            "BAD: convolution 2 of its towers is deformable: must be only the last, or none",
        ),
        (
            lambda s: s | {"backbone.layer3.0.conv2.conv_offset.weight": torch.zeros(27, 256, 3, 3)},
            "BAD: C4: blocks 1 are not deformable, and the others are; must be all or none",
        ),
    ],
    ids=["strange", "classes", "depth", "scales", "tower", "stage"],
)
def test_other_networks_are_refused_with_what_would_be_right(tmp_path, capsys, change, line):
    found = refused(capsys, tmp_path, change(weights()))
    assert found[0].startswith(f"paa.convert: {line}")
    assert len(found) == 1


def test_another_number_of_classes_than_the_data_has(tmp_path, capsys):
    write_data(tmp_path / "data", [[1, "cat"], [4, "dog"]])
    words = ("data=custom", f"data.root={tmp_path / 'data'}")
    (line,) = refused(capsys, tmp_path, weights(), *words)
    assert line == f"paa.convert: BAD: its head has 80 outputs; data.root={tmp_path / 'data'} has 2 classes"
