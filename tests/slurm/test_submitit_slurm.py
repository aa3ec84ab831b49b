"""hydra/launcher=submitit_slurm runs the jobs of a sweep on the test cluster, as its documentation describes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cluster import HERE, REPO, run
from running import SHORT

from paa.runs import collect

FOLDER = REPO / "build" / "plugins"

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        not (FOLDER / ".installed").is_file(),
        reason=f"no third-party plugins in {FOLDER}: `make plugins` installs them",
    ),
]


def test_submitit_slurm_runs_the_jobs_of_a_grid(place: Path):
    path = os.pathsep.join(map(str, (REPO, HERE / "own", FOLDER)))
    launcher = ("hydra/launcher=submitit_slurm", "hydra.launcher.partition=debug", "hydra.launcher.timeout_min=5")
    ended = run(place, "paa.train", "-m", *SHORT, "seed=21,22", *launcher, PYTHONPATH=path)
    assert ended.returncode == 0, ended.stderr
    assert {21, 22} <= set(collect(place / "runs")["seed"])
    jobs = {log.name.split("_")[0] for log in (place / "runs").rglob(".submitit/*/*_log.out")}
    assert len(jobs) == 1, "one job array"
