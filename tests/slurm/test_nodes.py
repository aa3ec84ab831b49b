"""One training over two nodes, and a snapshot of the code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cluster import REPO, Cluster, ids_by_seed, run, runs_by_seed, sweep_of, until
from running import TINY, experiment

from paa.engine.metrics import read
from paa.store.record import TrainingRecord

pytestmark = pytest.mark.slurm

BATCH = 4


def test_four_processes_on_two_nodes_train_as_one_does(place, cluster: Cluster, tmp_path):
    keys = [*TINY, "workers=0", "schedule.steps=6", "tracking.log_every=1", f"train.batch_size={BATCH}", "device=cpu"]
    launch = ["hydra/launcher=slurm_8gpu", "hydra.launcher.nodes=2", "hydra.launcher.tasks_per_node=2"]
    done = run(place, "paa.train", *keys, "-m", "seed=7", *launch, "hydra.launcher.poll_s=1")
    assert done.returncode == 0, done.stdout + done.stderr
    sweep = sweep_of(place)
    (mine,) = runs_by_seed(sweep, place).values()
    record = TrainingRecord.read(mine.record)
    assert record.world_size == 4
    logs = sorted(sweep.logs.glob("*_log.out"))
    assert len(logs) == 4
    assert [log.name for log in logs if "trains on" in log.read_text()] == [logs[0].name], "the first alone speaks"
    nodes = cluster.slurm("squeue", "-h", "-t", "all", "-j", ids_by_seed(sweep)["7"], "-O", "NodeList:")
    assert nodes.strip() == "n[1-2]"
    alone = experiment(tmp_path, *keys, "seed=7", f"data.root={place / 'runs/.data'}")
    alone.run()
    assert alone.identity.train_id == mine.train_id
    ours, its = read(mine.metrics), read(alone.identity.paths.metrics)
    assert [line["step"] for line in ours] == [line["step"] for line in its]
    for one, other in zip(ours, its, strict=True):
        for key in ("loss", "loss_cls", "loss_box", "positives"):
            if key in one:
                assert one[key] == pytest.approx(other[key], rel=1e-5), (one["step"], key)


def test_a_snapshot_is_what_a_job_runs(place, cluster: Cluster):
    """The checkout is spoilt while the job is held back; the record names the commit that it was taken from."""
    checkout = place / "checkout"
    subprocess.run(["git", "clone", "-q", str(REPO), str(checkout)], check=True)
    (checkout / "README.md").write_text("changed\n")
    words = ["paa.train", *TINY, "workers=0", "schedule.steps=4", "runs_dir=../runs", "-m", "seed=9"]
    launch = ["hydra/launcher=slurm", "hydra.launcher.wait=false", "hydra.launcher.snapshot=true"]
    hold = "+hydra.launcher.additional_parameters.hold=true"
    command = {"PYTHONPATH": ""}
    submitted = run(checkout, *words, *launch, hold, **command)
    assert submitted.returncode == 0, submitted.stderr
    sweep = sweep_of(place)
    for path in (checkout / "paa").rglob("*.py"):
        path.write_text("raise RuntimeError('this is not what was submitted')\n")
    cluster.slurm("scontrol", "release", ids_by_seed(sweep)["9"])
    (paths,) = runs_by_seed(sweep, place).values()
    until(lambda: paths.finished, "the record", 180)
    origin = TrainingRecord.read(paths.record).origin
    head = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert origin["commit"] == head.stdout.strip()
    assert origin["clean"] is False
    assert Path(sweep.directory).resolve() == sweep.folder / "snapshot"
