"""Third-party Hydra launchers and sweepers work as their own documentation describes them.

`make plugins` installs them beside the environment, in build/plugins. PAA_PLUGINS can name another folder, as in
`make hydra14`. Without the folder these tests are skipped. tests/slurm tests hydra/launcher=submitit_slurm.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from running import SHORT, run_cli

from paa.runs import collect

REPO = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("PAA_PLUGINS") or REPO / "build" / "plugins")

pytestmark = pytest.mark.skipif(
    not (FOLDER / ".installed").is_file(), reason=f"no third-party plugins in {FOLDER}: `make plugins` installs them"
)


@pytest.fixture
def sweep(here: Path):
    """Run `paa.train -m` with the plugins on the path; the ended process."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(FOLDER), os.environ.get("PYTHONPATH", "")])
        return run_cli("paa.train", "-m", *SHORT, *words, cwd=here, timeout=300, PYTHONPATH=path)

    return run


def trained(here: Path) -> dict[int, float]:
    """{seed: AP of the first evaluation} of the finished runs."""
    frame = collect(here / "runs").drop_duplicates("train_id")
    return dict(zip(frame["seed"], frame["AP"], strict=True))


def test_joblib_runs_the_jobs_of_a_grid(here, sweep):
    ended = sweep("seed=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert ended.returncode == 0, ended.stderr
    assert trained(here).keys() == {1, 2}
    assert ended.stdout.count("seed=1 ") == 2, "a row for each evaluation"


def test_submitit_local_runs_the_jobs_of_a_grid(here, sweep):
    ended = sweep("seed=1,2", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5")
    assert ended.returncode == 0, ended.stderr
    assert trained(here).keys() == {1, 2}
    assert list((here / "runs").rglob(".submitit/*/*_log.out")), "the logs lie where the launcher's settings say"


FAILS = """
from paa.assign.boundary import FNP

class Fails(FNP):
    def __call__(self, scores, valid, progress=0.0):
        if 0 < progress < 0.5:  # others are tried before the training
            raise RuntimeError("fails on purpose")
        return super().__call__(scores, valid, progress)
"""


def test_a_failed_job_of_submitit_local_fails_the_sweep(here, sweep):
    (here / "fails.py").write_text(FAILS)
    group = here / "conf" / "assign.boundary"
    group.mkdir(parents=True)
    (group / "fails.yaml").write_text("_target_: fails.Fails\nn: 3  # positives; integer from 1\n")
    ended = sweep("--config-dir", "conf", "assign.boundary=fails", "hydra/launcher=submitit_local")
    assert ended.returncode == 1
    assert "fails on purpose" in ended.stdout + ended.stderr
    assert not trained(here)


def test_optuna_gets_the_objective_of_each_job(here, sweep):
    ended = sweep(
        "hydra/sweeper=optuna",
        "hydra/sweeper/sampler=random",
        "hydra.sweeper.sampler.seed=1",
        "hydra.sweeper.direction=maximize",
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.n_jobs=1",
        "seed=range(1,40)",
        "assign.topk=choice(5,9)",
    )
    assert ended.returncode == 0, ended.stderr
    (path,) = (here / "runs").rglob("optimization_results.yaml")
    results = yaml.safe_load(path.read_text())
    found = trained(here)
    assert len(found) == 3
    assert results["best_value"] == max(found.values())
    assert found[results["best_params"]["seed"]] == results["best_value"]


def test_a_proposal_of_a_sweeper_that_is_out_of_range_is_rejected(here, sweep):
    ended = sweep("hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "assign.topk=choice(0)")
    assert ended.returncode != 0
    assert "assign.topk=0" in ended.stderr
    assert not trained(here)
