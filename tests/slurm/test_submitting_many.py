"""Hundreds of runs: submitted, watched and cancelled, each in seconds. They are held, and train nothing."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from cluster import Cluster, run
from running import TINY, configuration

from paa.files import write_json
from paa.launch.ledger import Entry, Sweep, sweeps
from paa.launch.settings import SlurmSettings
from paa.launch.status import rows
from paa.launch.submit import submit
from paa.planning.rows import rows_of

pytestmark = pytest.mark.slurm

SEEDS = 20
"""Two full arrays and a part of one: tests/launch looks at a thousand jobs."""


def test_many_runs_are_submitted_watched_and_cancelled(place, cluster: Cluster, orphaned):
    """With the command that a person gives. (`orphaned` is not used here, but takes its time meanwhile.)"""
    runs_dir = place / "many"
    words = ["table4=glob(*)", f"seed=range(0,{SEEDS})", "recipe=smoke", f"runs_dir={runs_dir}"]
    launch = ["hydra/launcher=slurm", "hydra.launcher.wait=false", "+hydra.launcher.additional_parameters.hold=true"]
    one_seed = rows_of("table4", ["recipe=smoke", f"runs_dir={runs_dir}", "seed=0"]).all
    count = SEEDS * len({row.train_id for row in one_seed})  # the default is among both of its columns, and goes once
    done = run(place, "paa.train", "-m", *words, *launch, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    (sweep,) = sweeps(runs_dir)
    try:
        assert len(sweep.entries) == count
        full, rest = divmod(count, 101)
        sizes = [101] * full + [rest] * (rest > 0)
        assert len(sizes) > 2
        assert [len(array.parts) for array in sweep.arrays()] == sizes, "MaxArraySize of the test cluster is 101"
        assert len(set(sweep.ids().values())) == count
        found = rows(runs_dir)
        assert [row.kind for row in found] == ["pending"] * count
        assert {row.status.detail for row in found} == {"pending (JobHeldUser)"}
    finally:
        said = run(place, "paa.runs", "cancel", sweep.name, "--runs-dir", str(runs_dir))
        watched = run(place, "paa.runs", "watch", "--runs-dir", str(runs_dir))
    assert said.returncode == 0, said.stderr
    assert f"cancelled {count} jobs" in said.stdout
    assert f"{count} runs: {count} cancelled" in watched.stdout


def test_a_submission_that_was_killed_before_it_noted_its_array_loses_nothing(place, cluster: Cluster):
    """Its jobs are found by their name."""
    runs_dir = place / "unnoted"
    config = configuration(*TINY, f"runs_dir={runs_dir}")
    settings = asdict(SlurmSettings(additional_parameters={"hold": True}))
    entries = tuple(Entry(n, f"t{n:010d}", (f"e{n:010d}",), (f"seed={n}",)) for n in range(2))
    sweep = Sweep(runs_dir / ".sweeps" / "u", "python -m paa.train", "slurm", settings, str(place), entries)
    sweep.write({"config": {**config, "seed": n}, "choices": {}} for n in range(2))
    (array,) = submit(sweep, [0, 1])
    write_json(sweep.folder / f"{array.name}.json", asdict(replace(array, job=None)))
    assert [row.id for row in rows(runs_dir)] == [f"{array.job}_0", f"{array.job}_1"]
    assert run(place, "paa.runs", "--runs-dir", str(runs_dir), "cancel", "u").returncode == 0
