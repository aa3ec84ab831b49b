"""Sweeps: what reaches the launcher, what is told, and how long a thousand jobs take to get there."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from running import SHORT, as_finished, rows, train

from paa.commands.sweeping import run_all
from paa.commands.train import checked, failure
from paa.experiment.evaluation import wanted
from paa.experiment.job import JobFailed

PAA, C, FNP = (f"assign.boundary={name}" for name in ("paa", "c", "fnp"))


@pytest.fixture(autouse=True)
def own_notes(monkeypatch):
    """What is noted of jobs is this test's alone."""
    for name, empty in (("_FAILED", {}), ("_COMMAND", []), ("_JOBS", []), ("_CHECKED", {})):
        monkeypatch.setattr(f"paa.commands.train.{name}", empty)


@pytest.fixture
def jobs(here):
    return checked("paa.train", ["-m", *SHORT, "assign.boundary=paa,c,fnp,fsr"]).all


def finish(job):
    parts, identity = job.experiment.parts, job.experiment.identity
    as_finished(identity.paths, parts.config, wanted(parts.config, identity.digests), identity.digests)


def launcher(batches, outcome=lambda job: None):
    """A launcher that notes the boundaries and the first number of each batch, and has `outcome` act for a job."""

    def launch(overrides, first):
        batches.append((first, [next(o for o in one if o.startswith("assign.boundary=")) for one in overrides]))
        return [outcome(one) for one in overrides]

    return launch


def test_finished_jobs_stay_and_of_equal_ones_the_first_goes(jobs, capsys):
    finish(jobs[3])
    batches = []

    def outcome(overrides):
        finish(jobs[0])
        finish(jobs[2])

    run_all(jobs, launcher(batches, outcome))
    assert batches == [(0, [PAA, FNP])]
    said = capsys.readouterr().out.splitlines()
    assert said == [f"{jobs[i].train_id}  is finished: nothing to do" for i in (3, 1)]
    assert jobs[0].train_id == jobs[1].train_id
    batches.clear()
    run_all(jobs, launcher(batches))
    assert batches == []


def test_jobs_go_in_batches(jobs):
    batches = []
    run_all(jobs, launcher(batches), most=2)
    assert batches == [(0, [PAA, FNP]), (2, ["assign.boundary=fsr"])]


def test_a_training_that_is_there_goes_once_more_for_an_evaluation_that_is_not(here):
    both = checked("paa.train", ["-m", *SHORT, "postprocess.sigma_t=0.025,0.1"]).all
    assert both[0].train_id == both[1].train_id
    batches = []
    run_all(both, lambda overrides, first: batches.append(overrides) or [None, None])
    assert [len(batch) for batch in batches] == [2]


def test_what_a_launcher_gives_back_as_failed_is_noted_for_it_and_for_its_equal(jobs):
    def outcome(overrides):
        error = JobFailed("out of paper") if PAA in overrides else MemoryError("no\nmore")
        return JobReturn(overrides=overrides, status=JobStatus.FAILED, _return_value=error)

    run_all(jobs, launcher([], outcome))
    assert [failure(job.overrides) for job in jobs] == ["out of paper", "out of paper", *["MemoryError: no"] * 2]


def test_hydra_s_folder_and_launcher_get_what_is_missing(here, capsys, monkeypatch):
    """The whole command, with a launcher that runs nothing."""
    given = []

    def launch(overrides, initial_job_idx):
        given.append((initial_job_idx, *(one[-1] for one in overrides)))
        return []

    monkeypatch.setattr(Plugins, "instantiate_launcher", lambda *args, **rest: SimpleNamespace(launch=launch))
    finish(checked("paa.train", ["-m", *SHORT, "assign.boundary=fnp,fsr,a"]).all[0])
    ended = train(capsys, "-m", "assign.boundary=fnp,fsr,a", "hydra.sweeper.max_batch_size=1")
    assert ended.code == 0, ended.err
    assert given == [(0, "assign.boundary=fsr"), (1, "assign.boundary=a")]
    assert [row[2:] for row in rows(ended.out)[2:]] == [["not", "finished"]] * 2
    (folder,) = (here / "runs" / ".sweeps").iterdir()
    assert [path.name for path in folder.iterdir()] == ["multirun.yaml"]
    assert "assign.boundary=fnp,fsr" in (folder / "multirun.yaml").read_text()


def test_a_thousand_jobs_reach_the_launcher_in_thirty_seconds(here):
    """Of the processor's time, and for a third of them."""
    began, given = time.process_time(), []
    jobs = checked("paa.train", ["-m", *SHORT, "table1=glob(*)", "seed=range(0,24)"]).all
    run_all(jobs, lambda overrides, first: given.extend(overrides) or [])
    assert (len(jobs), len(given)) == (14 * 24, 13 * 24)
    assert time.process_time() - began < 10


def test_another_program_with_this_sweeper_gets_hydra_s(monkeypatch):
    from hydra_plugins.paa_sweeper.plugin import PaaSweeper

    monkeypatch.setattr(PaaSweeper.__mro__[1], "sweep", lambda self, arguments: ["plain", *arguments])
    sweeper = PaaSweeper(max_batch_size=None)
    assert sweeper.sweep(["seed=1,2"]) == ["plain", "seed=1,2"]
