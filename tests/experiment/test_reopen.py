"""A finished run is opened with its own configuration; only what cannot have made its weights may change."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from running import experiment

from paa.config.compose import Composer
from paa.config.errors import ConfigError
from paa.config.merge import OPEN, split_keys
from paa.experiment.reopen import reopen
from paa.store.errors import BadRecord, RunNotFound
from paa.store.record import TrainingRecord


@pytest.fixture
def finished(runs_dir):
    """A run as training leaves it, but for its weights."""
    made = experiment(runs_dir, "assign.topk=4", "compat.sigma_t=0.5")
    record = TrainingRecord(
        train_id=made.identity.train_id,
        config=dict(made.parts.config),
        overrides=["assign.topk=4"],
        digests=made.identity.digests,
        seed=0,
        threads=1,
        device="cpu",
        steps=30,
        started=0.0,
        wall_s=1.0,
        weights_sha256="0" * 64,
        origin={},
        categories=[[1, "disc"]],
    )
    made.identity.paths.folder.mkdir()
    record.write(made.identity.paths.record)
    return made


def opened(runs_dir: Path, prefix: str, *overrides: str):
    compose = Composer()
    own, rest = split_keys(compose.parse([f"run={prefix}", *overrides]), ("run",))
    assert own == {"run": prefix}
    return reopen(runs_dir, prefix, rest, compose)


def test_its_own_configuration_holds_and_never_today_s_defaults(runs_dir, finished):
    name = finished.identity.train_id
    again, record = opened(runs_dir, name[:5])
    assert again.identity == finished.identity
    assert again.parts.config == finished.parts.config
    assert again.parts.config["assign"]["topk"] == 4
    assert again.parts.config["postprocess"]["sigma_t"] == 0.5
    assert record.train_id == name


def test_test_time_keys_may_change(runs_dir, finished):
    again, _ = opened(
        runs_dir,
        finished.identity.train_id,
        "postprocess.sigma_t=0.1",
        "postprocess.voting=false",
        "evaluate.splits=[val,test]",
        "images.test.batch_size=3",
        "workers=1",
    )
    config = again.parts.config
    assert config["postprocess"]["sigma_t"] == 0.1
    assert config["postprocess"]["voting"] is False
    assert config["evaluate"]["splits"] == ["val", "test"]
    assert config["images"]["test"]["batch_size"] == 3
    assert again.identity.train_id == finished.identity.train_id
    assert set(again.identity.digests) == {"data.train", "data.val", "data.test"}


def test_a_whole_group_may_be_chosen_again_within_the_run_s_own_presets(runs_dir, finished):
    """Choices hold before keys, wherever they stand on the command line, as those of a training do."""
    name, before = finished.identity.train_id, finished.parts.config["postprocess"]
    again, _ = opened(runs_dir, name, "postprocess.unified=product", "postprocess=standard", "postprocess.nms_iou=0.5")
    assert again.parts.config["postprocess"] == {**before, "nms_iou": 0.5, "unified": "product"}
    assert again.parts.config["postprocess"]["sigma_t"] == 0.5


def test_the_split_is_the_one_that_is_evaluated(runs_dir, finished):
    name = finished.identity.train_id
    assert finished.parts.config["evaluate"]["splits"] == ["val"]
    again, _ = opened(runs_dir, name, "data.split=test")
    assert again.parts.config["evaluate"]["splits"] == ["test"]
    assert again.parts.source.split == "test"
    assert set(again.identity.digests) == {"data.train", "data.val", "data.test"}
    both, _ = opened(runs_dir, name, "data.split=test", "evaluate.splits=[val,train]")
    assert both.parts.config["evaluate"]["splits"] == ["val", "train"]
    with pytest.raises(ConfigError, match=r"^data\.split=dev: must be one of train, val, test$"):
        opened(runs_dir, name, "data.split=dev")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("assign.topk=5", f"assign.topk: cannot change after training; what can: {', '.join(sorted(OPEN))}"),
        ("seed=1", "seed: cannot change after training; what can: "),
        ("images.train.flip=0", "images.train.flip: cannot change after training"),
        ("postprocess.sigma=1", "postprocess.sigma: no such key. Keys of postprocess: "),
        ("postprocess.sigma_t=0", "postprocess.sigma_t=0 is out of range: must be a number above 0"),
        ("postprocess=fancy", "postprocess=fancy: no such choice. Choices of postprocess: standard."),
        (
            "postprocess.multiscale=many",
            "postprocess.multiscale=many: no such choice. Choices of postprocess.multiscale:",
        ),
        (
            "postprocess.multiscale.short=[9]",
            "postprocess.multiscale.short: no such key. Keys of postprocess.multiscale:",
        ),
        ("+postprocess.extra=1", "+postprocess.extra=1: a finished run takes only key=value"),
        ("~postprocess.voting", "~postprocess.voting: a finished run takes only key=value"),
        ("evaluate.splits=[nope]", "evaluate.splits=[nope]: must be of train, val, test"),
        ("device=gpu", "device=gpu: must be one of auto, cpu, cuda"),
    ],
)
def test_everything_else_is_refused(runs_dir, finished, override, message):
    with pytest.raises(ConfigError) as error:
        opened(runs_dir, finished.identity.train_id, override)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_what_is_not_there_or_not_finished(runs_dir, finished):
    name = finished.identity.train_id
    with pytest.raises(RunNotFound, match=r"^run=tzz: "):
        opened(runs_dir, "tzz")
    finished.identity.paths.record.rename(runs_dir / "elsewhere.json")
    with pytest.raises(ConfigError, match=f"^run={name}: has not finished training; python -m paa.runs shows"):
        opened(runs_dir, name)
    finished.identity.paths.record.write_text("{}")
    with pytest.raises(BadRecord, match=r"record\.json: not the record"):
        opened(runs_dir, name)


def test_data_below_the_folder_of_runs_move_with_it(tmp_path, runs_dir, finished, monkeypatch):
    """The record says runs/.data, relative to where training was started; the run is opened from elsewhere."""
    record = TrainingRecord.read(finished.identity.paths.record)
    config = json.loads(json.dumps(record.config))
    config["runs_dir"], config["data"]["root"] = "runs", "runs/.data"
    dataclasses.replace(record, config=config).write(finished.identity.paths.record)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again, _ = opened(Path("../runs"), finished.identity.train_id)
    assert Path(again.parts.config["data"]["root"]) == Path("../runs/.data")
    assert again.identity.paths.folder.resolve() == finished.identity.paths.folder.resolve()
    other = json.loads(json.dumps(config))
    other["data"]["root"] = "/somewhere/else"
    dataclasses.replace(record, config=other).write(finished.identity.paths.record)
    again, _ = opened(Path("../runs"), finished.identity.train_id)
    assert again.parts.config["data"]["root"] == "/somewhere/else"


def test_settings_takes_the_command_s_own_keys_out():
    compose = Composer()
    own, rest = split_keys(
        compose.parse(["run=t1", "images=photos", "score=0.4", "postprocess.voting=true"]), ("run", "score")
    )
    assert own == {"run": "t1", "score": 0.4}
    assert [o.key_or_group for o in rest] == ["images", "postprocess.voting"]
