"""hydra/launcher=slurm from the command line, with a SLURM that prints what a test has it print."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from fakes import FakeSlurm, finish, result, slurm  # noqa: F401
from running import SHORT, call

from paa.experiment.experiment import JobFailed
from paa.launch.ledger import Sweep, sweeps
from paa.launch.submit import submit
from paa.launch.task import run_all

WORDS = (*SHORT, "-m", "seed=0,1", "hydra/launcher=slurm", "hydra.launcher.poll_s=0.5")


@pytest.fixture
def cluster(slurm) -> FakeSlurm:  # noqa: F811
    slurm.says("scontrol", "MaxArraySize            = 1001\n")
    slurm.says("sbatch", "Submitted batch job 70\n")
    return slurm


@pytest.fixture
def settled(monkeypatch):
    """A job that looks ended has ended."""
    monkeypatch.setattr("paa.launch.sweep.SETTLE_S", 0.0)


def submitted(here) -> Sweep:
    return sweeps(here / "runs")[-1]


def test_without_waiting_it_says_what_was_submitted_and_how_to_watch(here, capsys, cluster):
    ended = call(capsys, "paa.train", *WORDS, "hydra.launcher.wait=false")
    assert ended.code == 0, ended.err
    sweep = submitted(here)
    for words in ("SLURM: 70\n", str(sweep.folder), "paa.runs watch", f"cancel {sweep.name}", "resubmit missing"):
        assert words in ended.out
    assert sweep.ids() == {0: "70_0", 1: "70_1"}
    content = sweep.contents([1])[1]
    assert content["config"]["seed"] == 1
    assert content["config"]["runs_dir"] == str(here / "runs")
    assert content["config"]["data"]["root"] == str(here / "runs" / ".data")
    assert "hydra" not in content["config"]


def test_a_job_that_would_train_something_else_fails(here, capsys, cluster):
    """As where the data were rewritten while it was pending: it trains what was submitted, or nothing."""
    assert call(capsys, "paa.train", *WORDS, "hydra.launcher.wait=false").code == 0
    made = submitted(here)
    train_id = made.entries[1].train_id
    contents = made.contents([0, 1])
    made.write([contents[0], {**contents[1], "config": {**contents[1]["config"], "seed": 2}}])
    with pytest.raises(JobFailed, match=train_id):
        run_all(made, [1])
    assert not list((here / "runs").glob("*/record.json"))
    made.write(contents.values())
    run_all(made, [1])
    assert (here / "runs" / train_id / "record.json").exists()


def test_ctrl_c_ends_only_the_waiting(here, capsys, cluster):
    """squeue sends it while it is asked for the second time, after the submission."""
    (cluster.folder / "squeue").write_text(f"#!/bin/sh\nkill -INT {os.getpid()}\nsleep 1\n")
    ended = call(capsys, "paa.train", *WORDS)
    assert ended.code == 130
    assert ended.out.count("paa.runs watch") == 2
    assert submitted(here).ids() == {0: "70_0", 1: "70_1"}
    assert cluster.calls("scancel") == []


def test_the_end_reports_every_run(here, capsys, cluster, settled):
    """One failed, with the last line of its error; one was cancelled: neither hides the other."""
    folder = here / "runs" / ".sweeps" / "s"
    cluster.queue(("70_0", "FAILED"), ("70_1", "CANCELLED"))
    lost = Sweep(folder, "", "slurm", {}, "", ())
    result(lost, "70_0", "error", "Trace\npaa.experiment.experiment.JobFailed: the loss of step 3 is not finite")
    ended = call(capsys, "paa.train", *WORDS, "hydra.sweep.dir=runs/.sweeps/s")
    assert ended.code == 1
    failed, cancelled = (line for line in ended.out.split("\n\n")[-1].splitlines() if "seed=" in line)
    assert f"seed=0  failed: the loss of step 3 is not finite; log: {folder / 'slurm' / '70_0_0_log.out'}" in failed
    assert "seed=1  cancelled" in cancelled


def test_what_is_in_the_queue_already_is_not_submitted_again(here, capsys, cluster):
    assert call(capsys, "paa.train", *WORDS, "hydra.launcher.wait=false").code == 0
    cluster.queue(("70_0", "RUNNING"), ("70_1", "CANCELLED"))
    again = call(capsys, "paa.train", *WORDS, "hydra.launcher.wait=false", "checkpoint.every=7")
    assert "already in the queue: 70_0\n" in again.out
    assert len(cluster.calls("sbatch")) == 2
    assert submitted(here).ids() == {1: "70"}


def test_what_sbatch_rejects_ends_the_command_in_one_line(here, capsys, cluster):
    cluster.says("sbatch", code=1, error="sbatch: error: Batch job submission failed: Invalid account\n")
    ended = call(capsys, "paa.train", *WORDS)
    assert ended.code == 2
    assert ended.err.splitlines()[-1].endswith("sbatch: error: Batch job submission failed: Invalid account")
    assert "Traceback" not in ended.err


def test_finished_runs_are_not_submitted(here, capsys, cluster):
    assert call(capsys, "paa.train", *WORDS, "hydra.launcher.wait=false").code == 0
    run_all(submitted(here), [0, 1])
    ended = call(capsys, "paa.train", *WORDS)
    assert ended.code == 0, ended.err
    assert len(cluster.calls("sbatch")) == 1


def test_batches_of_one_command_are_noted_beside_one_another(here, capsys, cluster):
    ended = call(capsys, "paa.train", *WORDS, "hydra.launcher.wait=false", "hydra.sweeper.max_batch_size=1")
    assert ended.code == 0, ended.err
    first, second = sweeps(here / "runs")
    assert second.name == f"{first.name}-2"
    assert [sweep.contents([0])[0]["config"]["seed"] for sweep in (first, second)] == [0, 1]
    assert len(cluster.calls("sbatch")) == 2


@pytest.mark.parametrize(("if_locked", "code"), [("wait", 1), ("skip", 0)])
def test_a_job_without_records_is_no_failure_only_where_it_may_skip(here, capsys, cluster, settled, if_locked, code):
    cluster.queue(("70_0", "COMPLETED"), ("70_1", "COMPLETED"))
    ended = call(capsys, "paa.train", *WORDS, f"lock.if_locked={if_locked}")
    assert ended.code == code, ended.err
    assert ended.out.count("interrupted: ") == 2


def test_a_sweep_is_noted_where_it_is_found_again(here, capsys, cluster):
    """Hydra's folder may be anywhere; what was submitted is listed, watched and cancelled below runs_dir."""
    ended = call(capsys, "paa.train", *WORDS, "hydra.launcher.wait=false", "hydra.sweep.dir=far/away")
    assert ended.code == 0, ended.err
    assert submitted(here).folder == here / "runs" / ".sweeps" / "away"


def test_the_folder_of_the_command_is_that_of_its_jobs_and_stays_its_own(here, capsys, cluster):
    """sbatch gets it as an option: changing this process's folder would change it for its threads as well."""
    copy = f"pwd > {cluster.folder}/pwd; cp $1 {cluster.folder}/script"
    (cluster.folder / "sbatch").write_text(f"#!/bin/sh\n{copy}\necho Submitted batch job 70\n")
    sub = here / "below"
    sub.mkdir()
    assert call(capsys, "paa.train", *WORDS, "hydra.launcher.wait=false").code == 0
    made = submitted(here)
    submit(replace(made, directory=str(sub)), [0])
    assert (cluster.folder / "pwd").read_text().strip() == os.getcwd() == str(here)
    assert f"#SBATCH --chdir={sub}" in (cluster.folder / "script").read_text()


def test_the_runs_of_one_sweep_share_their_folder(here, capsys, cluster):
    ended = call(capsys, "paa.train", *WORDS, "runs_dir=one,two")
    assert ended.code == 2
    assert ended.err.splitlines()[-1].startswith("paa.train: runs_dir=one,two: ")
    assert cluster.calls("sbatch") == []
