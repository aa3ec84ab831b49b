"""One sweep on a real SLURM: preempted, cancelled, killed, failing. What each ends with, and what is told of it."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster import (
    SLOW,
    STEPS,
    Cluster,
    ids_by_seed,
    resumed_at,
    run,
    runs_by_seed,
    start,
    step,
    steps_done,
    sweep_of,
    until,
    weights,
)
from running import experiment

from paa.store.record import TrainingRecord

pytestmark = pytest.mark.slurm

PLAIN, PREEMPTED, CANCELLED, KILLED, FAILS = "01234"


@dataclass
class Seen:
    """What the story below left: the driver's end, what other shells saw, where the signals struck."""

    place: Path
    driver: subprocess.CompletedProcess[str]
    listed: str
    cancel: subprocess.CompletedProcess[str]
    struck: dict[str, int]
    restarts: dict[str, str]
    again: subprocess.CompletedProcess[str]
    sacct: str
    before_again: bool


@pytest.fixture(scope="module")
def seen(place, cluster: Cluster, limited) -> Seen:
    """A sweep of five: four of them are struck at some step by what the constants above say. (`limited` has nothing to
    do with them, but has been started by then.)
    """
    words = ["paa.train", *SLOW, "-m", f"seed={PLAIN},{PREEMPTED},{CANCELLED},{KILLED},{FAILS}", "hydra/launcher=slurm"]
    driver = start(place, *words, "hydra.launcher.poll_s=1", PAA_FAILS=FAILS)
    until(lambda: list((place / "runs").glob(".sweeps/*/paa-*.json")), "the submission")
    sweep = sweep_of(place)
    ids = until(lambda: (found := ids_by_seed(sweep)) and len(found) == 5 and found, "five ids")
    paths = runs_by_seed(sweep, place)
    struck: dict[str, int] = {}
    shells: dict[str, subprocess.Popen[str]] = {}
    while len(struck) < 4:  # whichever comes to its third step first; none is kept waiting by another
        left = [one for one in (PREEMPTED, KILLED, CANCELLED, PLAIN) if one not in struck]
        for one in until(lambda left=left: [s for s in left if step(paths[s]) >= 3], f"step 3 of seeds {left}"):
            struck[one] = step(paths[one])
            if one == PREEMPTED:
                cluster.slurm("scancel", "--signal=USR2", ids[one])
            elif one == KILLED:
                os.kill(cluster.processes(cluster.raw(ids[one]))[0], signal.SIGKILL)
            elif one == CANCELLED:
                shells[one] = start(place, "paa.runs", "cancel", paths[one].train_id[:7])
            else:
                shells[one] = start(place, "paa.runs")
    listed = shells[PLAIN].communicate(timeout=120)[0]
    said = shells[CANCELLED].communicate(timeout=120)
    cancel = subprocess.CompletedProcess([], shells[CANCELLED].returncode, *said)
    out, err = driver.communicate(timeout=240)
    ended = subprocess.CompletedProcess(words, driver.returncode, out, err)
    restarts = {one: cluster.slurm("squeue", "-h", "-t", "all", "-j", ids[one], "-O", "RestartCnt:") for one in ids}
    sacct = cluster.slurm("squeue", "-h", "-t", "all", "-j", ids[CANCELLED], "-O", "State:")
    before_again = paths[CANCELLED].finished
    again = run(place, "paa.runs", "resubmit", "missing")
    until(lambda: paths[CANCELLED].finished, "the cancelled run, submitted again", 180)
    return Seen(place, ended, listed, cancel, struck, restarts, again, sacct, before_again)


def paths(seen: Seen, one: str):
    return runs_by_seed(sweep_of(seen.place), seen.place)[one]


def test_the_driver_ends_with_a_row_for_every_run_and_exit_code_1(seen):
    assert seen.driver.returncode == 1, seen.driver.stderr
    table = seen.driver.stdout.split("\n\n")[-1]
    for one in (PLAIN, PREEMPTED, KILLED):
        assert sum(f"seed={one} " in line and " val " in line for line in table.splitlines()) == 2, table
    (failed,) = (line for line in table.splitlines() if f"seed={FAILS}" in line)
    assert f"failed: RuntimeError: tag {FAILS} fails, as it was told to; log: " in failed
    assert Path(failed.split("log: ")[1].strip()).is_file()
    (cancelled,) = (line for line in table.splitlines() if f"seed={CANCELLED}" in line)
    assert "cancelled" in cancelled
    assert "failed" not in cancelled


def test_sigusr2_saves_the_step_and_requeues_the_job(seen):
    run = paths(seen, PREEMPTED)
    (at,) = resumed_at(run)
    assert at >= seen.struck[PREEMPTED]
    assert seen.restarts[PREEMPTED].strip() == "1"
    assert sorted(steps_done(seen.place, PREEMPTED)) == sorted({*steps_done(seen.place, PREEMPTED)}), (
        "a step was redone"
    )


def test_a_cancelled_run_saves_and_is_not_requeued(seen):
    assert seen.cancel.returncode == 0, seen.cancel.stderr
    assert "cancelled 1 job;" in seen.cancel.stdout
    assert seen.sacct.strip() == "CANCELLED"
    assert not seen.before_again
    run = paths(seen, CANCELLED)
    assert resumed_at(run)
    assert len(steps_done(seen.place, CANCELLED)) == len({*steps_done(seen.place, CANCELLED)}), "a step was redone"
    assert "submitted 1 job to SLURM" in seen.again.stdout


def test_a_killed_process_is_requeued_and_loses_no_more_than_since_its_checkpoint(seen):
    assert seen.restarts[KILLED].strip() == "1"
    done = steps_done(seen.place, KILLED)
    assert {*done} | {0, STEPS // 2} >= {*range(STEPS)}
    assert len(done) > len({*done}), "it had no checkpoint, so what it had done was done again"


def test_another_shell_sees_who_runs_where(seen):
    lines = [line for line in seen.listed.splitlines() if f"seed={PLAIN} " in line]
    assert lines, seen.listed
    assert "running" in lines[0]
    assert " on n" in lines[0]


def test_weights_are_those_of_undisturbed_runs_and_each_has_one_record(seen, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "own"))
    keys = [word for word in SLOW[2:] if not word.startswith("assign.boundary")]
    for one in (PREEMPTED, KILLED):  # CANCELLED has saved and resumed as PREEMPTED has
        made = experiment(
            tmp_path, *keys, "assign.boundary=fnp", f"seed={one}", f"data.root={seen.place / 'runs/.data'}"
        )
        made.run()
        assert weights(made.identity.paths) == weights(paths(seen, one))
        record = TrainingRecord.read(paths(seen, one).record)
        assert record.steps == STEPS
        lines = paths(seen, one).metrics.read_text().splitlines()
        assert len(lines) == len({*lines}) == STEPS
    assert not list((seen.place / "runs").rglob("*.aside"))
