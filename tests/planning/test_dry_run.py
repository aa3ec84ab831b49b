"""plan=true: the status of each job, hours and disk, and that nothing is made by asking."""

from __future__ import annotations

import re

import pytest
import torch
from running import SHORT, TINY, as_finished, call, checked, train

from paa.experiment.memo import Memo
from paa.planning.dry_run import planned
from paa.store import failure


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def table(out: str) -> list[list[str]]:
    """The lines of the dry run, split at two spaces or more."""
    return [re.split(r"  +", line.strip()) for line in out.split("\n\n")[0].splitlines()]


def finish(experiment, count=2, **changes):
    every = experiment.evaluations[:count]
    config = dict(experiment.parts.config)
    as_finished(experiment.identity.paths, config, every, experiment.identity.digests, **changes)


def test_an_empty_folder_stays_empty(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ended = call(capsys, "paa.train", "-m", *SHORT, "seed=0,1", "plan=true", "hydra/launcher=basic")
    assert ended.code == 0, ended.err
    lines = table(ended.out)
    assert lines[0] == ["id", "state", "hours", "disk", "hours from", "what"]
    assert [(line[1], line[2], line[-1]) for line in lines[1:]] == [
        ("missing", "?", "seed=0"),
        ("missing", "?", "seed=1"),
    ]
    assert "\n2 jobs: 2 missing\n" in ended.out
    assert "The embedded data are drawn first" in ended.out
    assert not list(tmp_path.iterdir())


def test_every_status(here, capsys):
    words = ["-m", *SHORT, "seed=range(0,5)", "assign.boundary=paa,c"]
    jobs = [job for job in checked(*words).all if "assign.boundary=c" in job.overrides]
    done, trained, interrupted, failed, _ = jobs
    finish(done)
    finish(trained, 1)
    stopped = interrupted.identity.paths
    stopped.checkpoints.mkdir(parents=True)
    (stopped.checkpoints / "00000003.pt").touch()
    failed.identity.paths.folder.mkdir()
    failure.write(failed.identity.paths, "Traceback\nRuntimeError: out of paper")
    ended = train(capsys, *words[len(SHORT) + 1 :], "-m", "plan=true")
    assert ended.code == 0, ended.err
    lines = table(ended.out)[1:]
    assert [line[1].partition(":")[0] for line in lines] == [
        *("done", "done", "trained", "as above", "interrupted at step 3 of 4", "as above"),
        *("failed", "as above", "missing", "as above"),
    ]
    assert lines[6][1].endswith(": RuntimeError: out of paper")
    assert "10 jobs of 5 trainings: 1 done, 1 trained, 1 interrupted, 1 failed, 1 missing\n" in ended.out
    # The two records have 15 s a step and 2 s an evaluation: 1, 4 and 4 steps, 1, 2, 2 and 2 evaluations.
    assert "In total about 2 minutes" in ended.out
    assert [line[2] for line in lines[::2]] == ["0", "<0.01", "0.01", "0.02", "0.02"]
    assert {line[4] for line in lines[2:] if line[1] != "as above"} == {"2 runs"}


def test_nothing_left_is_said_so(here, capsys):
    (job,) = checked(*SHORT).all
    finish(job)
    ended = train(capsys, "plan=true")
    assert table(ended.out)[1][1:4] == ["done: weights removed", "0", "0"]
    assert ended.out.endswith("1 job: 1 done\nNothing is left to do.\n")


def test_hours_are_the_median_of_comparable_runs_on_this_machine(here):
    words = ("", "assign.boundary=fsr", "optim.lr=0.001", "train.batch_size=4", "threads=2", "device=cuda")
    jobs = [checked("plan=true", *SHORT, *([word] if word else [])).all[0] for word in words]
    assert planned(jobs[:1], Memo())[0].estimate.seconds is None
    for seed, wall_s in enumerate((40.0, 80.0, 120.0, 1e6), start=1):
        elsewhere = {"origin": {"hardware": {"cpu": "another", "cores": 1, "gpu": None}}} if wall_s == 1e6 else {}
        finish(checked(*SHORT, f"seed={seed}").all[0], wall_s=wall_s, **elsewhere)
    estimates = [planned([job], Memo())[0].estimate for job in jobs]
    seconds = 4 * 20.0 + 2 * 4 * 0.5  # steps, and two evaluations of four images
    assert [(one.runs, one.seconds) for one in estimates] == [(3, seconds)] * 3 + [(0, None)] * 3


def test_disk_is_that_of_weights_and_of_checkpoints_beside(here):
    (job,) = checked(*SHORT).all
    weights = 4 * sum(p.numel() for p in job.parts.detector(10).parameters())
    estimate = planned([job], Memo())[0].estimate
    assert weights < estimate.kept < 1.6 * weights
    assert estimate.scratch == pytest.approx(3 * 3 * weights, rel=0.5)  # of 80 classes, with AdamW's two moments


def test_a_plan_that_is_no_truth_value_is_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = call(capsys, "paa.train", *TINY, "plan=maybe")
    assert (ended.code, ended.err.partition(": must")[0]) == (2, "paa.train: plan=maybe")
