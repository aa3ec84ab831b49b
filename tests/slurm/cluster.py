"""Commands on the test cluster, and what a test looks at there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from running import TINY

from paa.launch.ledger import Sweep, sweeps
from paa.store.paths import RunPaths
from paa.store.record import TrainingRecord

HERE = Path(__file__).parent
REPO = HERE.parents[1]
MARK = "# The test cluster of paa, made by tests/slurm/up.sh"
STEPS = 40
LONG = 250
"""Steps of the run that meets its time limit."""
ORPHAN = 320
"""Steps of the run whose slurmd dies: more than are done until its copy starts."""

SLOW = (
    "--config-dir",
    str(HERE / "own" / "conf"),
    *TINY,
    "workers=1",
    "assign.boundary=slow",
    "checkpoint.every=1000",
    "tracking.log_every=1",
    "lock.heartbeat_s=1",
    "lock.stale_s=10",
    f"schedule.steps={STEPS}",
)
"""A training whose steps take 0.2 s."""


@dataclass(frozen=True)
class Cluster:
    """The cluster in `folder`."""

    folder: Path

    def slurm(self, *command: str, check: bool = True) -> str:
        """What a command of SLURM says."""
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=check).stdout

    def daemon(self, name: str) -> int:
        """Process id of slurmctld or slurmd.n1."""
        return int((self.folder / "run" / f"{name}.pid").read_text())

    def start_slurmd(self, node: str) -> None:
        subprocess.run(["slurmd", "-f", self.folder / "etc" / "slurm.conf", "-N", node], check=True, timeout=60)

    def processes(self, job: str) -> list[int]:
        """The training processes of a job by SLURM's raw number: those whose environment says so."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    environment = (entry / "environ").read_bytes().split(b"\0")
                    command = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if f"SLURM_JOB_ID={job}".encode() in environment and b"submitit.core._submit" in command:
                    found.append(int(entry.name))
        return sorted(found)  # workers come after their main process

    def raw(self, name: str) -> str:
        """The raw number of 123_4."""
        shown = self.slurm("scontrol", "show", "job", name)
        return shown.split("JobId=")[1].split()[0]


def environment(place: Path, **more: str) -> dict[str, str]:
    path = os.pathsep.join([str(REPO), str(HERE / "own")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PAA_STEPS": str(place / "steps"), **more}


def start(place: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    """`python -m WORDS` in `place`, to be waited for."""
    command = [sys.executable, "-m", *words]
    return subprocess.Popen(
        command, cwd=place, env=environment(place, **more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(place: Path, *words: str, timeout: float = 240, **more: str) -> subprocess.CompletedProcess[str]:
    """`python -m WORDS` in `place`, to its end."""
    process = start(place, *words, **more)
    out, err = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def until(true: Callable[[], Any], what: str, timeout: float = 120) -> Any:
    """Waits until `true` gives something true, and returns it."""
    end = time.monotonic() + timeout
    while not (found := true()):
        assert time.monotonic() < end, f"not within {timeout:g} s: {what}"
        time.sleep(0.2)
    return found


def sweep_of(place: Path) -> Sweep:
    """The sweep that was submitted last."""
    return sweeps(place / "runs")[-1]


def ids_by_seed(sweep: Sweep) -> dict[str, str]:
    """{seed: SLURM's id} of a sweep over seeds."""
    ids = sweep.ids()
    return {seed(entry.overrides): ids[entry.number] for entry in sweep.entries if entry.number in ids}


def runs_by_seed(sweep: Sweep, place: Path) -> dict[str, RunPaths]:
    return {seed(entry.overrides): RunPaths(place / "runs", entry.train_id) for entry in sweep.entries}


def seed(overrides: tuple[str, ...]) -> str:
    return next(one.partition("=")[2] for one in overrides if one.startswith("seed="))


def step(paths: RunPaths) -> int:
    """The last step that a run has logged."""
    try:
        return max((json.loads(line)["step"] for line in paths.metrics.read_text().splitlines()), default=0)
    except (OSError, ValueError):
        return 0


def resumed_at(paths: RunPaths) -> list[int]:
    """The steps at which later processes resumed a run."""
    return [int(number) for number in re.findall(r"(?:resumes|goes on) at step (\d+)", paths.log.read_text())]


def weights(paths: RunPaths) -> str:
    return TrainingRecord.read(paths.record).weights_sha256


def steps_done(place: Path, tag: str) -> list[int]:
    """Every step that any process did for the training with this tag."""
    path = place / "steps" / tag
    return [int(line.split()[0]) for line in path.read_text().splitlines()] if path.exists() else []
