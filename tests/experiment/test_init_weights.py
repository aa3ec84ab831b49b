"""`finetune.from` and `backbone.weights` as commands see them: identity, messages, resuming, and what a run says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from running import TINY, configuration, experiment, train

from paa.config.compose import Composer
from paa.config.errors import ConfigError
from paa.detector import ResNet
from paa.engine import checkpoint
from paa.experiment.experiment import Experiment
from paa.experiment.parts import assemble
from paa.store.paths import RunPaths, runs

RESNET = ("backbone=resnet18", *(option for option in TINY if not option.startswith("backbone")))


@pytest.fixture
def source(here: Path, capsys: pytest.CaptureFixture[str]) -> RunPaths:
    """A finished run of four steps."""
    assert train(capsys).code == 0
    (run,) = runs(here / "runs")
    return run


def test_a_run_and_its_file_are_one_start(source: RunPaths, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(source.weights, here / "copy.pt")
    names = {
        form: experiment(here / "runs", f"finetune.from={form}").identity
        for form in (source.train_id[:5], f"runs/{source.train_id}", f"runs/{source.train_id}/weights.pt", "copy.pt")
    }
    assert len({one.train_id for one in names.values()}) == 1
    assert {one.digests["finetune.from"] for one in names.values()} == {checkpoint.digest(torch.load(source.weights))}
    assert experiment(here / "runs").identity.train_id not in {one.train_id for one in names.values()}
    ended = train(capsys, f"finetune.from={source.train_id[:5]}", "seed=3")
    assert ended.code == 0
    assert f"starts from the weights of {source.train_id}\n" in ended.out
    source.weights.unlink()  # the identity comes from the record then, and what is finished stays so
    again = train(capsys, f"finetune.from={source.train_id[:5]}", "seed=3")
    assert again.code == 0
    assert "already finished, reusing its results" in again.out
    ended = train(capsys, f"finetune.from={source.train_id}", "seed=4")
    assert ended.code == 1
    assert f"finetune.from={source.train_id}: runs/{source.train_id}/weights.pt was removed" in ended.err


def test_training_goes_on_from_the_weights(source: RunPaths, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At a learning rate of nearly nothing the run ends where the other did."""
    ended = train(capsys, f"finetune.from={source.train_id}", "optim.lr=1e-12", "auxiliary=centerness", "seed=1")
    assert ended.code == 0, ended.err
    (other,) = [run for run in runs(here / "runs") if run != source]
    was, now = torch.load(source.weights), torch.load(other.weights)
    assert was.keys() == now.keys()
    for name in was:
        torch.testing.assert_close(now[name], was[name], rtol=1e-4, atol=1e-6)


def test_other_classes_start_fresh_and_other_branches_are_named(
    source: RunPaths, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads(source.record.read_text())
    record["categories"][0][1] = "of another data set"
    source.record.write_text(json.dumps(record))
    ended = train(capsys, f"finetune.from={source.train_id}", "auxiliary=none")
    assert ended.code == 0, ended.err
    line = next(line for line in ended.out.splitlines() if "starts from" in line)
    assert "; fresh: head.cls_logits.bias, head.cls_logits.weight; left out: head.iou_pred.bias, " in line


def test_what_resumes_loads_nothing(
    source: RunPaths, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = (f"finetune.from={source.train_id}", "checkpoint.every=1", "seed=5")
    with monkeypatch.context() as patch:
        patch.setattr("paa.engine.checkpoint.weights_digest", None)  # training ends, with a fault before its record
        assert train(capsys, *start).code != 0
    ended = train(capsys, *start)
    assert ended.code == 0, ended.err
    assert "resumes at step 4" in ended.out
    assert "starts from" not in ended.out


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("3", "finetune.from=3: must be null, a finished run's ID or the path of a file"),
        ("", "finetune.from=: must be null, a finished run's ID or the path of a file"),
        (
            "nope",
            "finetune.from=nope: is no file, and as a run: no runs in runs; start one with python -m paa.train",
        ),
        ("a/b.pt", "finetune.from=a/b.pt: no such file; must be null, a finished run's ID or the path of a file"),
        ("text.pt", "finetune.from=text.pt: cannot be read as tensors only"),
    ],
)
def test_what_is_no_start(value: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "text.pt").write_text("not weights")
    ended = train(capsys, f"finetune.from={value}")
    assert ended.code == 2
    assert ended.err.startswith(f"paa.train: {message}")
    assert ended.err.count("\n") == 1


def test_another_network_s_weights_are_refused(
    source: RunPaths, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = train(capsys, f"finetune.from={source.train_id}", "detector.head.depth=2")
    assert ended.code == 1
    assert f"finetune.from={source.train_id}: not the weights of this detector; missing: head.bbox_tower." in ended.err


def test_an_input_of_another_convention_is_refused(here: Path) -> None:
    """A file that states its convention, before a network of another."""
    made = Experiment.of(configuration(*RESNET, f"runs_dir={here / 'runs'}"))
    state = made.parts.detector(10).state_dict()
    torch.save({"convention": "caffe", "state": state}, here / "caffe.pt")
    other = experiment_of(here, "finetune.from=caffe.pt")
    from paa.experiment.init_weights import InitWeights

    start = InitWeights.of(other.parts.config)
    assert start is not None
    categories = [[i, str(i)] for i in range(10)]
    with pytest.raises(ConfigError) as caught:
        start.into(other.parts.detector(10), other.parts.config, categories)
    hint = "was trained with backbone.convention=caffe, not torchvision; set backbone.convention=caffe"
    assert str(caught.value) == f"finetune.from=caffe.pt: {hint}"
    same = experiment_of(here, "finetune.from=caffe.pt", "backbone.convention=caffe")
    assert start.into(same.parts.detector(10), same.parts.config, categories) == "starts from the weights of caffe.pt"


def experiment_of(here: Path, *overrides: str) -> Experiment:
    return Experiment.of(configuration(*RESNET, f"runs_dir={here / 'runs'}", *overrides))


def test_the_backbone_s_own_weights_are_named_and_not_loaded(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where others take their place nor where a finished run is evaluated."""
    torch.save(ResNet(18, norm="batch").state_dict(), here / "r18.pth")
    short = [*RESNET, "workers=0", "schedule.steps=1", "backbone.weights=r18.pth", "postprocess.voting=false"]
    first = Experiment.of(configuration(*short), short)
    first.run()
    assert first.parts.config["backbone"]["norm"] == "frozen"

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr("paa.detector.resnet.files.fit", refuse)
    name = first.identity.train_id
    second = Experiment.of(configuration(*short, f"finetune.from={name}", "seed=1"), short)
    second.run()
    assert second.finished
    compose = Composer()
    from paa.experiment.reopen import reopen

    (here / "r18.pth").unlink()
    opened, _ = reopen(here / "runs", name, compose.parse(["evaluate.splits=[test]"]), compose)
    assert opened.run()


def test_the_identity_holds_what_was_settled(here: Path) -> None:
    """From scratch the convention follows the preset; a plain file's is torchvision's, said or left open."""
    torch.save(ResNet(18, norm="batch").state_dict(), here / "r18.pth")
    file = "backbone.weights=r18.pth"
    node = experiment_of(here, file).parts.config["backbone"]
    assert (node["convention"], node["stride_in_1x1"], node["norm"]) == ("torchvision", False, "frozen")
    name = experiment_of(here, file).identity.train_id
    assert experiment_of(here, file, "backbone.convention=torchvision").identity.train_id == name
    assert experiment_of(here, file, "backbone.expects=torchvision").identity.train_id == name
    assert experiment_of(here, file, "backbone.convention=caffe").identity.train_id != name
    scratch = assemble(configuration("backbone=resnet50", "compat=official", "recipe=smoke")).config["backbone"]
    assert (scratch["convention"], scratch["stride_in_1x1"], scratch["norm"]) == ("caffe", True, "group")
    mmdet = assemble(configuration("compat=mmdet", "backbone=resnet50", "backbone.weights=torchvision"))
    assert (mmdet.config["backbone"]["norm"], mmdet.config["backbone"]["convention"]) == ("statistics", "torchvision")


def test_official_input_with_torchvision_s_weights_is_refused() -> None:
    coco = ("recipe=coco_1x", "data.root=/data")
    assert assemble(configuration(*coco)).config["backbone"]["convention"] == "torchvision"
    with pytest.raises(ConfigError) as caught:
        assemble(configuration(*coco, "compat.input=caffe"))
    assert str(caught.value).startswith("backbone.expects=caffe: torchvision's weights want RGB in [0, 1], not BGR in")
    assert str(caught.value).endswith("or take the input that they want: compat.input=weights")


def test_several_scales_are_drawn_in_training_and_the_largest_in_a_test() -> None:
    parts = assemble(configuration("recipe=coco_2x", "data.root=/data"))
    assert parts.config["images"]["train"]["short"] == [640, 800]
    backbone = parts.detector(1, load_weights=False).backbone
    assert parts.train_transform(backbone).shorts == tuple(range(640, 801))
    assert parts.test_transform(backbone).shorts == (800,)
    listed = assemble(configuration("images.train.short=[96,128,160]"))
    assert listed.train_transform(None).shorts == (96, 128, 160)  # type: ignore[arg-type]
