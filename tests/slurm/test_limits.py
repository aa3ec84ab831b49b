"""Sweeps side by side on a real SLURM: requeued unwarned, at the time limit, over two processes, and tracked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster import (
    LONG,
    SLOW,
    STEPS,
    Cluster,
    ids_by_seed,
    resumed_at,
    runs_by_seed,
    start,
    step,
    steps_done,
    sweep_of,
    until,
    weights,
)
from running import experiment
from wandb_files import history, records

from paa.engine.metrics import read
from paa.launch.ledger import sweeps
from paa.store.paths import RunPaths
from paa.store.record import TrainingRecord

pytestmark = pytest.mark.slurm

REQUEUED, TOGETHER, TRACKED = "10", "12", "13"  # seeds
EVERY = 5
"""Steps between the checkpoints of the run that is put back without a warning."""

LAUNCH = {REQUEUED: (), TOGETHER: ("hydra.launcher.tasks_per_node=2",), TRACKED: ()}


def keys(seed: str) -> list[str]:
    own = {
        REQUEUED: [f"checkpoint.every={EVERY}"],
        TOGETHER: [],
        TRACKED: ["tracking=wandb", "tracking.mode=offline", "tracking.system_stats=false"],
    }[seed]
    names = [word.partition("=")[0] for word in own]
    return [*(word for word in SLOW[2:] if word.partition("=")[0] not in names), *own]


@dataclass
class Seen:
    """What is left of the three when all have ended."""

    place: Path
    paths: dict[str, RunPaths]
    restarts: dict[str, int]
    struck: dict[str, int]


def restarts(cluster: Cluster, job: str) -> int:
    """How often, as SLURM says."""
    return int(cluster.slurm("squeue", "-h", "-t", "all", "-j", job, "-O", "RestartCnt:"))


@pytest.fixture(scope="module")
def seen(place, cluster: Cluster) -> Seen:
    """All are held until the last is submitted, lest one ends before it is struck."""
    drivers = []
    for seed, launch in LAUNCH.items():
        words = [*SLOW[:2], *keys(seed), "-m", f"seed={seed}", "hydra/launcher=slurm", "hydra.launcher.wait=false"]
        hold = "+hydra.launcher.additional_parameters.hold=true"
        drivers.append(start(place, "paa.train", *words, *launch, hold, HOME=str(place)))
    for driver in drivers:
        out, err = driver.communicate(timeout=240)
        assert driver.returncode == 0, out + err
    ids: dict[str, str] = {}
    paths: dict[str, RunPaths] = {}
    for sweep in sweeps(place / "runs"):
        ids |= ids_by_seed(sweep)
        paths |= runs_by_seed(sweep, place)
    cluster.slurm("scontrol", "release", ",".join(ids.values()))
    struck: dict[str, int] = {}
    left = {TOGETHER: 3, TRACKED: 3, REQUEUED: EVERY + 2}
    while left:  # whichever comes to its step first
        ready = lambda: [seed for seed, enough in left.items() if step(paths[seed]) >= enough]  # noqa: E731
        for seed in until(ready, f"the steps {left}", 180):
            del left[seed]
            struck[seed] = step(paths[seed])
            how = ["scontrol", "requeue"] if seed == REQUEUED else ["scancel", "--signal=USR2"]
            cluster.slurm(*how, ids[seed])
    for seed, one in paths.items():
        until(lambda one=one: one.finished, f"the record of seed {seed}", 400)
    return Seen(place, paths, {seed: restarts(cluster, ids[seed]) for seed in ids}, struck)


def alone(seen: Seen, seed: str, folder: Path) -> RunPaths:
    """The same training in this one process, uninterrupted and without its pauses."""
    words = [word for word in keys(seed) if not word.startswith(("assign.boundary", "tracking=", "tracking.m"))]
    made = experiment(
        folder, *words, "assign.boundary=fnp", f"seed={seed}", f"data.root={seen.place / 'runs' / '.data'}"
    )
    made.run()
    return made.identity.paths


def test_what_is_requeued_without_a_warning_loses_only_the_steps_since_its_checkpoint(seen, tmp_path):
    assert seen.restarts[REQUEUED] == 1
    (at,) = resumed_at(seen.paths[REQUEUED])
    assert at >= EVERY
    done = Counter(steps_done(seen.place, REQUEUED))
    assert set(done) | {0, STEPS // 2} >= {*range(STEPS)}
    assert max(done.values()) <= 2
    assert sum(count - 1 for count in done.values()) <= EVERY + 1, done
    assert weights(seen.paths[REQUEUED]) == weights(alone(seen, REQUEUED, tmp_path))
    assert [line["step"] for line in read(seen.paths[REQUEUED].metrics) if "loss" in line] == [*range(1, STEPS + 1)]


def test_two_processes_leave_off_at_one_step_and_end_as_one_that_was_never_interrupted(seen, tmp_path):
    mine = seen.paths[TOGETHER]
    assert TrainingRecord.read(mine.record).world_size == 2
    assert seen.restarts[TOGETHER] == 1
    (at,) = resumed_at(seen.paths[TOGETHER])
    assert at >= seen.struck[TOGETHER]
    done = Counter(steps_done(seen.place, TOGETHER))
    assert set(done) | {0, STEPS // 2} >= {*range(STEPS)}
    assert set(done.values()) == {2}, "a step that one process did and the other did not, or that both redid"
    ours, its = read(mine.metrics), read(alone(seen, TOGETHER, tmp_path).metrics)
    assert [line["step"] for line in ours] == [line["step"] for line in its]
    for one, other in zip(ours, its, strict=True):
        for key in ("loss", "loss_cls", "loss_box", "positives"):
            if key in one:
                assert one[key] == pytest.approx(other[key], rel=1e-4), (one["step"], key)


def test_a_run_that_was_requeued_is_one_run_of_wandb_with_each_step_once(seen):
    paths = seen.paths[TRACKED]
    assert seen.restarts[TRACKED] == 1
    stores = sorted((paths.folder / "wandb").glob("offline-run-*/*.wandb"))
    assert [path.name for path in stores] == [f"run-{paths.train_id}.wandb"] * 2
    told = [record.run for path in stores for record in records(path) if record.WhichOneof("record_type") == "run"]
    assert {run.run_id for run in told} == {paths.train_id}
    assert all(run.resume for run in told)
    rows = [row["_step"] for path in stores for row in history(path)]
    assert rows == [*range(1, STEPS + 1)], "a step is lacking, or was sent twice"


def test_at_the_time_limit_a_run_saves_is_requeued_and_resumes(limited, cluster: Cluster):
    place, submits = limited
    out, err = submits.communicate(timeout=240)
    assert submits.returncode == 0, out + err
    sweep = sweep_of(place)
    ((seed, paths),) = runs_by_seed(sweep, place).items()
    until(lambda: paths.finished, "the record", 400)
    assert restarts(cluster, ids_by_seed(sweep)[seed]) >= 1
    assert resumed_at(paths), "the limit came before the first step, each time"
    done = Counter(steps_done(place, seed))
    assert set(done) | {0, LONG // 2} >= {*range(LONG)}
    assert set(done.values()) == {1}, "a step was redone"
    assert TrainingRecord.read(paths.record).steps == LONG
