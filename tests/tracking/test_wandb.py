"""The tracker's own work, with something in wandb's place."""

from __future__ import annotations

import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
from running import configuration, experiment

from paa import checks
from paa.config.errors import ConfigError
from paa.engine.signals import Interrupted
from paa.tracking import Files, RunInfo
from paa.tracking.session import described
from paa.tracking.wandb import Wandb, run_name


class FakeRun:
    """Remembers what it is told."""

    def __init__(self, step=0, fail=None):
        self.step, self.fail, self.rows, self.summary, self.ended = step, fail, [], {}, []

    def log(self, values, step, commit):
        if self.fail:
            raise self.fail
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


def info(folder: Path, said: list[str], overrides=()) -> RunInfo:
    return RunInfo(
        "t0", folder, {"assign": {"topk": 9}, "tracking": {}}, overrides, {"assign.boundary": "fnp"}, said.append
    )


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


def test_what_belongs_to_a_step_is_one_row(tmp_path, fake):
    said: list[str] = []
    follow(Wandb(project="p", tags=["a"]), info(tmp_path, said, ["seed=1", "tracking=wandb"]))
    assert fake.run.rows == [(20, ROW), (40, {"train/loss": 0.5})]
    assert fake.run.summary == {"val/voting_off/AP": 4.0, "AP": 4.0}
    assert fake.run.ended == [0]
    (opened,) = fake.opened
    assert {k: opened[k] for k in ("id", "name", "project", "resume", "mode", "dir")} == {
        "id": "t0", "name": "seed=1", "project": "p", "resume": "allow", "mode": "online", "dir": str(tmp_path),
    }  # fmt: skip
    assert said == []


def test_an_interrupted_step_s_row_is_left_to_who_goes_on(tmp_path, fake):
    follow(Wandb(), info(tmp_path, []), Interrupted(15, 40))
    assert [step for step, _ in fake.run.rows] == [20]
    assert fake.run.ended == ["preempting", 1]


def test_a_failed_training_sends_all_it_has(tmp_path, fake):
    with pytest.raises(ValueError, match="broken"):
        follow(Wandb(), info(tmp_path, []), ValueError("broken"))
    assert [step for step, _ in fake.run.rows] == [20, 40]
    assert fake.run.ended == [1]


def test_online_the_server_knows_what_it_has(tmp_path, fake):
    fake.run.step = 21
    follow(Wandb(), info(tmp_path, []))
    assert [step for step, _ in fake.run.rows] == [40]


def test_what_cannot_go_online_goes_offline_with_one_warning(tmp_path, fake):
    def answer(mode):
        if mode == "online":
            raise OSError("no such host.\nand more")
        return fake.run

    fake.answer, said = answer, []
    follow(Wandb(), info(tmp_path, said))
    assert [arguments["mode"] for arguments in fake.opened] == ["online", "offline"]
    assert [step for step, _ in fake.run.rows] == [20, 40]
    assert said == [
        "warning: wandb cannot go online (no such host); it writes offline. "
        f"Send it later: wandb sync --include-online {tmp_path / 'wandb'}"
    ]


@pytest.mark.parametrize("when", ["open", "log", "folder"])
def test_a_failure_is_one_warning(tmp_path, fake, when):
    said: list[str] = []
    if when == "open":
        fake.answer = lambda mode: (_ for _ in ()).throw(RuntimeError("crashed"))
    if when == "log":
        fake.run.fail = ConnectionError("crashed")
    if when == "folder":
        (tmp_path / "wandb").write_text("in the way")
    follow(Wandb(mode="offline"), info(tmp_path, said))
    (line,) = said
    assert line.startswith("warning: wandb has failed (")
    assert line.endswith("); training goes on without it.")


def test_a_process_of_wandb_that_cannot_be_reached_is_started_anew_once(tmp_path, fake):
    class WandbServiceConnectionError(Exception):
        """As wandb's own."""

    failures, said, stopped = [WandbServiceConnectionError("Failed to connect")], [], []

    def answer(mode):
        if failures:
            raise failures.pop()
        return fake.run

    fake.answer, fake.teardown = answer, lambda: stopped.append(True)
    follow(Wandb(mode="offline"), info(tmp_path, said))
    assert fake.run.ended == [0]
    assert (said, stopped) == ([], [True])
    failures.extend(WandbServiceConnectionError("Failed to connect") for _ in range(2))
    follow(Wandb(mode="offline"), info(tmp_path, said))
    assert len(said) == 1
    assert "wandb has failed (Failed to connect)" in said[0]


def test_what_does_not_answer_is_left_after_its_time(tmp_path, fake, monkeypatch):
    monkeypatch.setattr("paa.tracking.wandb._GRACE_S", 0.0)
    fake.run.finish = lambda exit_code: time.sleep(3)
    said, began = [], time.monotonic()
    follow(Wandb(timeout_s=1), info(tmp_path, said))
    assert time.monotonic() - began < 2.5
    assert said == ["warning: wandb does not answer; training goes on without it."]


def test_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    said: list[str] = []
    follow(Wandb(), info(tmp_path, said))
    assert len(said) == 1
    assert said[0].startswith("warning: wandb ")


def test_names_and_configuration():
    run = info(Path("runs/t0"), [], ["+assign.topk=5", "tracking.mode=offline", "runs_dir=x", "workers=3", "seed=2"])
    assert run_name(Wandb(), run) == "+assign.topk=5 seed=2"
    assert run_name(Wandb(name="mine"), run) == "mine"
    assert run_name(Wandb(), info(Path("runs/t0"), [])) == "t0"
    assert len(run_name(Wandb(), info(Path("r"), [], ["a=" + 200 * "x"]))) == 120
    told = described(run)
    assert told["assign"] == {"topk": 9}
    assert told["choices"] == {"assign_boundary": "fnp"}
    assert "tracking" not in told


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
    with pytest.raises(ConfigError, match=r"^tracking\.mode=on: must be one of online, offline"):
        experiment(runs_dir, "tracking=wandb", "tracking.mode=on")
    with pytest.raises(ConfigError, match=r"tracking\.mod\b.*mode"):
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
