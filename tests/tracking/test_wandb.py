"""The tracker's own work, with something in wandb's place."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest
from running import configuration, experiment

from paa import checks
from paa.config.errors import ConfigError
from paa.engine.signals import Interrupted
from paa.tracking import Files, RunInfo
from paa.tracking.wandb import Wandb, run_name, shown_config


class FakeRun:
    """Remember every call."""

    def __init__(self):
        self.rows, self.summary, self.ended = [], {}, []

    def log(self, values, step, commit):
        self.rows.append((step, values))

    def mark_preempting(self):
        self.ended.append("preempting")

    def finish(self, exit_code):
        self.ended.append(exit_code)


@pytest.fixture
def fake(monkeypatch):
    """A module in wandb's place; `module.opened` are the arguments of its runs, `module.answer(mode)` gives the run."""
    module = types.ModuleType("wandb")
    module.opened, module.run = [], FakeRun()
    module.answer = lambda mode: module.run
    module.Settings = lambda **values: values
    module.setup = lambda settings: None
    module.teardown = lambda: None
    module.Image = lambda path: ("image", path)

    def init(**arguments):
        module.opened.append(arguments)
        return module.answer(arguments["mode"])

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def info(folder: Path, overrides=()) -> RunInfo:
    return RunInfo("t0", folder, {"assign": {"topk": 9}, "tracking": {}}, overrides, {"assign.boundary": "fnp"})


def follow(settings: Wandb, run: RunInfo, error: BaseException | None = None) -> None:
    try:
        with settings.tracker(run) as tracker:
            tracker.line({"step": 20, "loss": 1.0, "grad": None})
            tracker.line({"step": 20, "split": "val", "voting": True, "AP": 3.0, "APL": None})
            tracker.pictures(20, [Path("images/step_00000020/7.png")])
            tracker.line({"step": 40, "loss": 0.5})
            if error:
                raise error
            tracker.evaluation("val", False, {"AP": 4.0, "APL": None})
    except Interrupted:
        pass


ROW = {"train/loss": 1.0, "val/voting_on/AP": 3.0, "assignment/7": ("image", "images/step_00000020/7.png")}


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_what_belongs_to_a_step_is_one_row(tmp_path, fake, caplog):
    follow(Wandb(project="p", tags=["a"]), info(tmp_path, ["seed=1", "tracking=wandb"]))
    assert fake.run.rows == [(20, ROW), (40, {"train/loss": 0.5})]
    assert fake.run.summary == {"val/voting_off/AP": 4.0, "AP": 4.0}
    assert fake.run.ended == [0]
    (opened,) = fake.opened
    assert {k: opened[k] for k in ("id", "name", "project", "resume", "mode", "dir")} == {
        "id": "t0", "name": "seed=1", "project": "p", "resume": "allow", "mode": "online", "dir": str(tmp_path),
    }  # fmt: skip
    assert warnings(caplog) == []


def test_a_resumed_training_sends_the_interrupted_step_and_what_follows(tmp_path, fake):
    settings = Wandb(mode="offline")
    follow(settings, info(tmp_path), Interrupted(15, 40))
    assert [step for step, _ in fake.run.rows] == [20]
    assert fake.run.ended == ["preempting", 1]
    follow(settings, info(tmp_path))
    assert [step for step, _ in fake.run.rows] == [20, 40]


def test_a_failed_training_sends_all_it_has(tmp_path, fake):
    with pytest.raises(ValueError, match="broken"):
        follow(Wandb(), info(tmp_path), ValueError("broken"))
    assert [step for step, _ in fake.run.rows] == [20, 40]
    assert fake.run.ended == [1]


def test_what_cannot_go_online_goes_offline_with_one_warning(tmp_path, fake, caplog):
    def answer(mode):
        if mode == "online":
            raise OSError("no such host.\nand more")
        return fake.run

    fake.answer = answer
    follow(Wandb(), info(tmp_path))
    assert [arguments["mode"] for arguments in fake.opened] == ["online", "offline"]
    assert [step for step, _ in fake.run.rows] == [20, 40]
    (line,) = warnings(caplog)
    assert "(no such host)" in line
    assert f"wandb sync --include-online {tmp_path / 'wandb'}" in line


@pytest.mark.parametrize("when", ["open", "log", "finish", "folder", "import"])
def test_a_failure_is_one_warning(tmp_path, fake, when, monkeypatch, caplog):
    def crash(*args, **kwargs):
        raise RuntimeError("crashed")

    if when == "open":
        fake.answer = crash
    elif when in ("log", "finish"):
        setattr(fake.run, when, crash)
    elif when == "folder":
        (tmp_path / "wandb").write_text("in the way")
    else:
        monkeypatch.setitem(sys.modules, "wandb", None)
    follow(Wandb(mode="offline"), info(tmp_path))
    (line,) = warnings(caplog)
    assert line.startswith("wandb failed (")
    assert ("crashed" in line) == (when in ("open", "log", "finish"))
    assert ("pip install wandb" in line) == (when == "import")


def test_a_process_of_wandb_that_has_ended_is_started_again_once(tmp_path, fake, caplog):
    failures, stopped = [ConnectionError("Failed to connect")], []

    def answer(mode):
        if failures:
            raise failures.pop()
        return fake.run

    fake.answer, fake.teardown = answer, lambda: stopped.append(True)
    follow(Wandb(mode="offline"), info(tmp_path))
    assert fake.run.ended == [0]
    assert (warnings(caplog), stopped) == ([], [True])


def test_names_and_configuration():
    run = info(Path("runs/t0"), ["+assign.topk=5", "tracking.mode=offline", "runs_dir=x", "workers=3", "seed=2"])
    assert run_name(Wandb(), run) == "+assign.topk=5 seed=2"
    assert run_name(Wandb(name="mine"), run) == "mine"
    assert run_name(Wandb(), info(Path("runs/t0"))) == "t0"
    assert len(run_name(Wandb(), info(Path("r"), ["a=" + 200 * "x"]))) == 120
    shown = shown_config(run)
    assert shown["assign"] == {"topk": 9}
    assert shown["choices"] == {"assign_boundary": "fnp"}
    assert "tracking" not in shown


@pytest.mark.parametrize(
    ("key", "value"),
    [("mode", "on"), ("project", ""), ("project", "a/b"), ("entity", ""), ("group", 3), ("tags", "a"), ("tags", [""]),
     ("timeout_s", 0), ("system_stats", 1), ("log_every", 0)],
)  # fmt: skip
def test_ranges(key, value):
    with pytest.raises(checks.OutOfRange, match=key):
        Wandb(**{key: value})


def test_keys_of_the_command_line(runs_dir):
    assert isinstance(experiment(runs_dir).parts.tracking, Files)
    with pytest.raises(ConfigError, match=r"^tracking\.mode=on\b"):
        experiment(runs_dir, "tracking=wandb", "tracking.mode=on")
    with pytest.raises(ConfigError, match=r"^tracking\.mod\b"):
        experiment(runs_dir, "tracking=wandb", "tracking.mod=offline")
    old = experiment(runs_dir).identity.train_id
    assert (
        experiment(runs_dir, "tracking=wandb", "tracking.project=x", "tracking.images.steps=[1]").identity.train_id
        == old
    )
    assert configuration("tracking=wandb")["tracking"]["log_every"] == 20


def test_training_without_tracking_does_not_import_wandb_or_matplotlib():
    code = "import sys, paa.train, paa.experiment.training; print([m for m in ('wandb', 'matplotlib') if m in sys.modules])"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.strip() == "[]"
