"""plan=true: where each job stands, hours and disk, and that nothing is made by asking."""

from __future__ import annotations

import re
import statistics

import pytest
import torch
from running import SHORT, TINY, as_finished, call, train

from paa.commands.train import checked
from paa.experiment import cost as feasible
from paa.experiment.evaluation import wanted
from paa.experiment.memo import Shared
from paa.planning.dry_run import planned
from paa.store import failure


@pytest.fixture(autouse=True)
def a_cpu(monkeypatch):
    """A CPU of 1 GFLOP/s."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(feasible, "_rate", lambda threads: 1e9)


def table(out: str) -> list[list[str]]:
    """The lines of the plan, split at two spaces or more."""
    return [re.split(r"  +", line.strip()) for line in out.split("\n\n")[0].splitlines()]


def test_an_empty_folder_stays_empty(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words in (["plan=true", *SHORT], ["-m", *SHORT, "seed=0,1", "plan=true", "hydra/launcher=basic"]):
        ended = call(capsys, "paa.train", *words)
        assert ended.code == 0, ended.err
        lines = table(ended.out)
        assert lines[0] == ["id", "state", "hours", "disk", "hours from", "what"]
        assert {line[1] for line in lines[1:]} == {"missing"}
        assert "The embedded data are drawn first" in ended.out
        assert not list(tmp_path.iterdir())
    assert [line[-1] for line in lines[1:]] == ["seed=0", "seed=1"]
    assert "2 jobs: 2 missing\n" in ended.out


def test_every_state_is_told(here, capsys):
    words = ["-m", *SHORT, "seed=range(0,6)", "assign.boundary=paa,c"]
    jobs = [job for job in checked("paa.train", words).all if "assign.boundary=c" in job.overrides]
    done, evaluated, stopped, failed, begun, _ = (job.experiment.identity.paths for job in jobs)
    for paths, count in ((done, 2), (evaluated, 1)):
        experiment = next(job.experiment for job in jobs if job.experiment.identity.paths == paths)
        every = wanted(experiment.parts.config, experiment.identity.digests)[:count]
        as_finished(paths, experiment.parts.config, every, experiment.identity.digests)
    for paths in (stopped, failed, begun):
        paths.folder.mkdir()
    for paths in (stopped, failed):
        paths.metrics.write_text('{"step": 3}\n')
    stopped.checkpoints.mkdir()
    (stopped.checkpoints / "00000003.pt").touch()
    failure.write(failed, "Traceback\nRuntimeError: out of paper")
    ended = train(capsys, *words[len(SHORT) + 1 :], "-m", "plan=true")
    assert ended.code == 0, ended.err
    assert [line[1] for line in table(ended.out)[1:]] == [
        *("done", "done"),
        *("trained, 1 evaluation missing", "as above"),
        *("stopped at step 3 of 4", "as above"),
        *("failed at step 3 of 4: RuntimeError: out of paper", "as above"),
        *("stopped before its first step", "as above"),
        *("missing", "as above"),
    ]
    counted = "1 done, 2 stopped, 1 failed, 1 with evaluations missing, 1 missing"
    assert f"12 jobs of 6 trainings: {counted}\n" in ended.out
    # Two records say 15 s a step and 2 s an evaluation: 3 x 4 steps and 1, 4 x 2 evaluations and 1, 213 s in all.
    assert "In all about 4 minutes on this machine" in ended.out
    assert [line[2] for line in table(ended.out)[1::2]] == ["0", "<0.01", "0.01", "0.02", "0.02", "0.02"]
    assert {line[4] for line in table(ended.out)[3:] if line[1] != "as above"} == {"2 runs"}


def test_nothing_left_is_said_so(here, capsys):
    (job,) = checked("paa.train", [*SHORT]).all
    parts, identity = job.experiment.parts, job.experiment.identity
    as_finished(identity.paths, parts.config, wanted(parts.config, identity.digests), identity.digests)
    ended = train(capsys, "plan=true")
    assert table(ended.out)[1][1:4] == ["done", "0", "0"]
    assert ended.out.endswith("1 job: 1 done\nNothing is left to do.\n")


def test_hours_are_those_of_like_runs_here_and_else_of_flops(here):
    (plain,) = checked("paa.train", [*SHORT]).all
    words = ("assign.boundary=fsr", "optim.lr=0.001", "train.batch_size=4", "threads=2", "device=cuda")
    jobs = {word: checked("paa.train", ["plan=true", *SHORT, word]).all[0] for word in words}
    flops = planned([plain], Shared())[0].estimate
    parts = plain.experiment.parts
    shared, images = Shared(), 2 * 4
    train_flops, test_flops = feasible.image_flops(parts, shared), feasible.forward_flops(parts, shared)
    assert flops.runs == 0
    assert flops.seconds == pytest.approx((4 * 2 * train_flops + images * test_flops) / 1e9)
    for seed, wall_s in enumerate((40.0, 80.0, 120.0)):
        other = checked("paa.train", [*SHORT, f"seed={seed + 1}"]).all[0].experiment
        every = wanted(other.parts.config, other.identity.digests)
        config = dict(other.parts.config)
        if seed == 0:  # one that is older than some keys
            head = {key: value for key, value in config["detector"]["head"].items() if not key.startswith("dcn")}
            config = {key: node for key, node in config.items() if key not in ("precision", "compile")}
            config["detector"] = {**config["detector"], "head": head}
        as_finished(other.identity.paths, config, every, other.identity.digests, wall_s=wall_s)
    there = checked("paa.train", [*SHORT, "seed=9"]).all[0].experiment
    elsewhere = {"hardware": {"cpu": "another", "cores": 1, "gpu": None}}
    as_finished(there.identity.paths, there.parts.config, [], there.identity.digests, wall_s=1e6, origin=elsewhere)
    known = [planned([job], Shared())[0].estimate for job in (plain, *jobs.values())]
    seconds = 4 * statistics.median([10.0, 20.0, 30.0]) + images * 0.5
    assert [(one.runs, one.seconds) for one in known[:3]] == [(3, seconds)] * 3
    assert [one.runs for one in known[3:]] == [0, 0, 0]
    assert known[3].seconds == pytest.approx((4 * 4 * train_flops + images * test_flops) / 1e9)
    assert known[4].seconds == flops.seconds  # on other threads, of which no record tells
    assert known[5].seconds is None  # on a GPU that is not here


def test_disk_is_that_of_weights_and_of_checkpoints_beside(here):
    (job,) = checked("paa.train", [*SHORT]).all
    detector = job.experiment.parts.detector(10)
    weights = 4 * sum(p.numel() for p in detector.parameters())
    estimate = planned([job], Shared())[0].estimate
    assert weights < estimate.kept < 1.6 * weights
    assert estimate.scratch == pytest.approx(3 * 3 * weights, rel=0.5)  # of 80 classes, with AdamW's two moments


def test_a_plan_that_is_no_truth_value_is_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = call(capsys, "paa.train", *TINY, "plan=maybe")
    assert (ended.code, ended.err) == (2, "paa.train: plan=maybe: must be true or false\n")
