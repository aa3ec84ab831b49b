"""Sweeps: what reaches the launcher, and what becomes of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from running import SHORT, as_finished, checked, rows, train

from paa.experiment.experiment import JobFailed

PAA, C, FNP = (f"assign.boundary={name}" for name in ("paa", "c", "fnp"))


@pytest.fixture
def jobs(here):
    return checked("-m", *SHORT, "assign.boundary=paa,c,fnp,fsr")


def finish(job):
    as_finished(job.paths, job.config, job.evaluations, job.identity.digests)


def launcher(batches, outcome=lambda job: None):
    """A launcher that notes the boundaries and the first number of each batch, and has `outcome` act for a job."""

    def launch(overrides, first):
        batches.append((first, [next(o for o in one if o.startswith("assign.boundary=")) for one in overrides]))
        return [outcome(one) for one in overrides]

    return launch


def test_finished_jobs_stay_and_of_equal_ones_only_the_first_is_launched(jobs, capsys):
    finish(jobs.all[3])
    batches = []

    def outcome(overrides):
        finish(jobs.all[0])
        finish(jobs.all[2])

    jobs.launch(launcher(batches, outcome))
    assert batches == [(0, [PAA, FNP])]
    reused = [line.split()[0] for line in capsys.readouterr().out.splitlines() if "already finished" in line]
    assert reused == [jobs.all[i].train_id for i in (3, 1)]
    assert jobs.all[0].train_id == jobs.all[1].train_id
    batches.clear()
    jobs.launch(launcher(batches))
    assert batches == []


def test_jobs_are_launched_in_batches(jobs):
    batches = []
    jobs.launch(launcher(batches), 2)
    assert batches == [(0, [PAA, FNP]), (2, ["assign.boundary=fsr"])]


def test_a_training_is_launched_again_for_another_evaluation(here):
    both = checked("-m", *SHORT, "postprocess.sigma_t=0.025,0.1")
    assert both.all[0].train_id == both.all[1].train_id
    batches = []
    both.launch(lambda overrides, first: batches.append(overrides) or [None, None])
    assert [len(batch) for batch in batches] == [2]


def test_a_failure_that_a_launcher_returns_is_reported_for_its_job_and_its_equal(jobs, capsys):
    def outcome(overrides):
        error = JobFailed("out of paper") if PAA in overrides else MemoryError("no\nmore")
        return JobReturn(overrides=overrides, status=JobStatus.FAILED, _return_value=error)

    jobs.launch(launcher([], outcome))
    capsys.readouterr()
    assert jobs.report() == 1
    failed = [line.partition("failed: ")[2] for line in capsys.readouterr().out.splitlines() if "failed: " in line]
    assert failed == ["out of paper", "out of paper", *["MemoryError: no"] * 2]


def test_hydra_s_folder_and_launcher_get_what_is_missing(here, capsys, monkeypatch):
    """The whole command, with a launcher that runs nothing."""
    given = []

    def launch(overrides, initial_job_idx):
        given.append((initial_job_idx, *(one[-1] for one in overrides)))
        return []

    monkeypatch.setattr(Plugins, "instantiate_launcher", lambda *args, **rest: SimpleNamespace(launch=launch))
    finish(checked("-m", *SHORT, "assign.boundary=fnp,fsr,a").all[0])
    ended = train(capsys, "-m", "assign.boundary=fnp,fsr,a", "hydra.sweeper.max_batch_size=1")
    assert ended.code == 0, ended.err
    assert given == [(0, "assign.boundary=fsr"), (1, "assign.boundary=a")]
    assert [row[2:] for row in rows(ended.out)[2:]] == [["not", "finished"]] * 2
    (folder,) = (here / "runs" / ".sweeps").iterdir()
    assert [path.name for path in folder.iterdir()] == ["multirun.yaml"]
    assert "assign.boundary=fnp,fsr" in (folder / "multirun.yaml").read_text()


def test_each_job_is_composed_and_built_once(here, capsys, monkeypatch):
    """From the command line to the first step, jobs that differ only in their seed sharing both."""
    from paa.config.hydra_internal import ConfigLoader
    from paa.engine.loop import Loop
    from paa.experiment import experiment

    calls = {"compose": 0, "build": 0, "identify": 0}

    def counting(name, function):
        def call(*args, **rest):
            calls[name] += 1
            return function(*args, **rest)

        return call

    monkeypatch.setattr(ConfigLoader, "load_configuration", counting("compose", ConfigLoader.load_configuration))
    monkeypatch.setattr(experiment, "assemble", counting("build", experiment.assemble))
    monkeypatch.setattr(experiment, "identify", counting("identify", experiment.identify))
    monkeypatch.setattr(Loop, "run", lambda self, batches: None)
    ended = train(capsys, "-m", "seed=0,1", "assign.topk=3,4", "evaluate.splits=[]")
    assert ended.code == 0, ended.err
    # the sweep itself and the two settings of topk
    assert calls == {"compose": 3, "build": 2, "identify": 4}
