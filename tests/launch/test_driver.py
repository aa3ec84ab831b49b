"""The driver of hydra/launcher=slurm, with a SLURM that says what it is told to."""

from __future__ import annotations

from functools import partial

import pytest
from fakes import FakeSlurm, result, slurm  # noqa: F401
from running import SHORT, call

from paa.experiment.job import Job, JobFailed
from paa.launch.ledger import Sweep, sweeps
from paa.launch.task import run_all
from paa.launch.waiting import wait

WORDS = (*SHORT, "-m", "seed=0,1", "hydra/launcher=slurm", "hydra.launcher.poll_s=0.5")


@pytest.fixture
def cluster(slurm) -> FakeSlurm:  # noqa: F811
    slurm.says("scontrol", "MaxArraySize            = 1001\n")
    slurm.says("sbatch", "Submitted batch job 70\n")
    return slurm


def submitted(here) -> Sweep:
    return sweeps(here / "runs")[-1]


def test_without_waiting_it_says_what_was_submitted_and_how_to_watch(here, capsys, cluster):
    ended = call(capsys, "paa.train", *WORDS, "hydra.launcher.wait=false")
    assert ended.code == 0, ended.err
    sweep = submitted(here)
    assert "submitted 2 jobs to SLURM: 70\n" in ended.out
    assert f"folder    {sweep.folder}" in ended.out
    assert "watch     python -m paa.runs watch" in ended.out
    assert f"cancel {sweep.name}" in ended.out
    assert "not finished" not in ended.out
    assert sweep.ids() == {0: "70_0", 1: "70_1"}
    content = sweep.contents([1])[1]
    assert content["config"]["seed"] == 1
    assert content["config"]["runs_dir"] == str(here / "runs")
    assert content["config"]["data"]["root"] == str(here / "runs" / ".data")
    assert "hydra" not in content["config"]


def test_a_job_that_would_train_something_else_fails(here, capsys, cluster):
    """As where the data were written anew while it was pending: what is trained is what was submitted, or nothing."""
    assert call(capsys, "paa.train", *WORDS, "hydra.launcher.wait=false").code == 0
    content = submitted(here).contents([1])[1]
    other = {**content, "config": {**content["config"], "seed": 2}}
    with pytest.raises(JobFailed, match=f"changed since it was submitted as {content['train_id']}") as failed:
        run_all([other], "", print)
    assert "submit again" in str(failed.value)
    assert not list((here / "runs").glob("*/record.json"))
    run_all([content], "", print)
    assert (here / "runs" / content["train_id"] / "record.json").exists()


def test_ctrl_c_ends_the_waiting_alone(here, capsys, cluster, monkeypatch):
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("paa.launch.sweep.wait", interrupted)
    ended = call(capsys, "paa.train", *WORDS)
    assert ended.code == 130
    assert "nobody waits any more; what was submitted goes on." in ended.out
    assert ended.out.count("paa.runs watch") == 2
    assert cluster.calls("scancel") == []


def test_the_end_tells_of_every_run(here, capsys, cluster, monkeypatch):
    """One failed, with the last line of its error; one was cancelled: neither hides the other."""
    cluster.queue(("70_0", "FAILED"), ("70_1", "CANCELLED"))
    plain = Sweep.submitted

    def leave(self: Sweep, array: object, job: str) -> None:
        plain(self, array, job)  # type: ignore[arg-type]
        result(self, "70_0", "error", "Traceback ...\npaa.experiment.job.JobFailed: the loss of step 3 is not finite")

    monkeypatch.setattr(Sweep, "submitted", leave)
    monkeypatch.setattr("paa.launch.sweep.wait", partial(wait, settle_s=0))
    ended = call(capsys, "paa.train", *WORDS)
    assert ended.code == 1
    log = submitted(here).logs
    table = ended.out.split("\n\n")[-1]
    assert f"seed=0  failed: the loss of step 3 is not finite; log: {log / '70_0_0_log.out'}" in table
    assert f"seed=1  cancelled; log: {log / '70_1_0_log.out'}" in table


def test_what_is_in_the_queue_already_is_not_submitted_again(here, capsys, cluster):
    assert call(capsys, "paa.train", *WORDS, "hydra.launcher.wait=false").code == 0
    cluster.queue(("70_0", "RUNNING"), ("70_1", "CANCELLED"))
    again = call(capsys, "paa.train", *WORDS, "hydra.launcher.wait=false", "checkpoint.every=7")
    assert "1 of 2 runs are in the queue already" in again.out
    assert "submitted 1 job to SLURM" in again.out
    assert len(cluster.calls("sbatch")) == 2
    first = sweeps(here / "runs")[0]
    assert submitted(here).ids() == {0: "70_0", 1: "70"}
    assert submitted(here).arrays()[0].logs == str(first.logs)


def test_what_sbatch_refuses_ends_the_command_in_one_line(here, capsys, cluster):
    cluster.says("sbatch", code=1, error="sbatch: error: Batch job submission failed: Invalid account\n")
    ended = call(capsys, "paa.train", *WORDS)
    assert ended.code == 2
    assert "paa.train: sbatch: error: Batch job submission failed: Invalid account\n" in ended.err
    assert "Traceback" not in ended.err


def test_finished_runs_are_not_submitted(here, capsys, cluster, monkeypatch):
    monkeypatch.setattr(Job, "finished", property(lambda self: True))
    monkeypatch.setattr("paa.experiment.experiment.Experiment.run", lambda self, say: [])
    ended = call(capsys, "paa.train", *WORDS)
    assert cluster.calls("sbatch") == []
    assert ended.code == 0, ended.err


def test_batches_of_one_command_are_noted_beside_one_another(here, capsys, cluster):
    """Hydra launches them from one folder."""
    ended = call(capsys, "paa.train", *WORDS, "hydra.launcher.wait=false", "hydra.sweeper.max_batch_size=1")
    assert ended.code == 0, ended.err
    first, second = sweeps(here / "runs")
    assert second.name == f"{first.name}-2"
    assert [len(sweep.entries) for sweep in (first, second)] == [1, 1]
    assert first.contents([0])[0]["config"]["seed"] == 0
    assert second.contents([0])[0]["config"]["seed"] == 1
    assert len(cluster.calls("sbatch")) == 2


@pytest.mark.parametrize(("if_locked", "code"), [("wait", 1), ("skip", 0)])
def test_a_job_that_ended_without_records_is_well_only_where_it_may_leave_the_run_to_another(
    here, capsys, cluster, monkeypatch, if_locked, code
):
    cluster.queue(("70_0", "COMPLETED"), ("70_1", "COMPLETED"))
    monkeypatch.setattr("paa.launch.sweep.wait", partial(wait, settle_s=0))
    ended = call(capsys, "paa.train", *WORDS, f"lock.if_locked={if_locked}")
    assert ended.code == code, ended.err
    assert ended.out.count("ended: left to another process") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runs_dir=one,two"], "runs_dir=one,two: the runs of one sweep share their folder, where it is noted; a "),
        (["hydra.sweep.dir=far/away"], "hydra.sweep.dir={here}/far/away: what is submitted is found, watched and "),
        (["hydra.sweep.dir=runs/.sweeps/a/b"], "{here}/runs/.sweeps/b would be right, or leave it out"),
    ],
)
def test_what_could_never_be_watched_or_cancelled_is_not_submitted(here, capsys, cluster, words, message):
    ended = call(capsys, "paa.train", *WORDS, *words)
    assert ended.code == 2
    assert message.format(here=here) in ended.err
    assert ended.err.count("\n") == 1
    assert cluster.calls("sbatch") == []
