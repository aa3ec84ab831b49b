"""What is cut off goes on, and ends as if it had never been cut off."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from running import TINY, experiment

from paa.store.paths import RunPaths
from paa.store.record import TrainingRecord

DRIVER = Path(__file__).parents[1] / "kill_and_resume.py"


def test_ten_kills_change_no_bit(tmp_path, smoke_data):
    """SIGKILL at ten moments, three of them within the writing of a checkpoint; checkpoints fall amid epochs."""
    command = [sys.executable, str(DRIVER), str(tmp_path), str(smoke_data), "2", "2"]  # workers, seed
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:  # a pipe would wait for the orphans
        done = subprocess.run(command, stdout=out, stderr=err, timeout=300, check=False)
    assert done.returncode == 0, (tmp_path / "err").read_text()
    told = json.loads((tmp_path / "out").read_text().splitlines()[-1])
    kills, whole, cut = told["kills"], told["whole"], told["cut"]
    assert [kill["code"] for kill in kills] == [-signal.SIGKILL] * 10, kills
    assert len({kill["saved"] for kill in kills}) >= 4, kills  # they came at different stages
    assert any(kill["logged"] > kill["saved"] for kill in kills), kills  # and lines were written that had to go again
    assert cut["weights"] == whole["weights"] == cut["file"]
    assert cut["metrics"] == whole["metrics"]
    assert [json.loads(line)["step"] for line in cut["metrics"].splitlines()] == [
        7,
        14,
        20,
        21,
        28,
        35,
        40,
        42,
        49,
        56,
        60,
    ]
    assert cut["evaluations"] == whole["evaluations"]
    assert cut["final"] == whole["final"]
    assert cut["files"] == whole["files"]  # nothing half-written, and no checkpoint, is left
    assert [name for name in cut["files"] if name.endswith(".pt")] == ["weights.pt"]


def begin(command: list[str], cwd: Path, line: str) -> subprocess.Popen[str]:
    """The process, once it has printed a line that matches; what it printed is in its attribute `said`."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert process.stdout is not None
    process.said = []  # type: ignore[attr-defined]
    for text in process.stdout:
        process.said.append(text)  # type: ignore[attr-defined]
        if re.search(line, text):
            break
    return process


def stopped(process: subprocess.Popen[str], signum: int) -> tuple[int, list[str]]:
    """Signals the process with all its workers, as a terminal and a scheduler do; its exit code and what it said."""
    began = time.monotonic()
    os.killpg(process.pid, signum)
    code, rest = finished(process)
    assert time.monotonic() - began < 30
    return code, [*process.said, *rest]  # type: ignore[attr-defined]


def finished(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """The exit code, and what was said since `begin`."""
    assert process.stdout is not None
    rest = process.stdout.readlines()
    return process.wait(60), rest


def resuming(said: list[str]) -> str:
    """The command that a stopped process printed last."""
    assert said[-2].endswith("everything is saved. Resume with:\n"), said
    return said[-1].strip()


def test_ctrl_c_and_sigterm_save_and_print_the_command_that_goes_on(tmp_path, runs_dir, smoke_data):
    """Ctrl-C in the first job of a sweep, SIGTERM in the same, then to the end; the second job waits for its turn."""
    keys = [*TINY, "seed=0,1", "workers=2", "schedule.steps=60", "tracking.log_every=5", "runs_dir=runs"]
    command = [sys.executable, "-m", "paa.train", "-m", *keys]
    code, said = stopped(begin(command, tmp_path, r" 10/60 "), signal.SIGINT)
    assert code == 130, said
    assert re.search(r"stopped by SIGINT after step \d+; everything is saved", said[-2])
    again = resuming(said)
    assert again == shlex.join(["python", "-m", "paa.train", "-m", *keys])
    assert len([p for p in runs_dir.iterdir() if p.name.startswith("t")]) == 1

    code, said = stopped(begin(shlex.split(again), tmp_path, r" 30/60 "), signal.SIGTERM)
    assert code == 143, said
    assert any(re.search(r"resumes at step (1\d|2\d) of 60", line) for line in said), said
    assert resuming(said) == again

    process = begin(shlex.split(again), tmp_path, r"^run ")
    code, rest = finished(process)
    assert code == 0, rest
    assert [line.split()[1] for line in rest] == ["seed=0", "seed=0", "seed=1", "seed=1"]
    assert len([p for p in runs_dir.iterdir() if (p / "record.json").exists()]) == 2

    whole = experiment(tmp_path / "whole", "schedule.steps=60", "tracking.log_every=5", f"data.root={smoke_data}")
    whole.run()
    there, here = whole.identity.paths, RunPaths(runs_dir, whole.identity.train_id)
    assert TrainingRecord.read(here.record).weights_sha256 == TrainingRecord.read(there.record).weights_sha256
    assert here.metrics.read_bytes() == there.metrics.read_bytes()
