"""A thousand runs: submitted, watched and cancelled, each in seconds. They are held, and train nothing."""

from __future__ import annotations

import time
from dataclasses import asdict, replace

import pytest
from cluster import Cluster, run
from running import TINY, configuration

from paa.launch.content import content
from paa.launch.ledger import Entry, Sweep, sweeps
from paa.launch.settings import SlurmSettings
from paa.launch.submit import submit
from paa.launch.view import lines, rows

pytestmark = pytest.mark.slurm

COUNT = 1000


def test_a_thousand_runs_are_submitted_watched_and_cancelled(place, cluster: Cluster):
    runs_dir = place / "thousand"
    config = configuration(*TINY, f"runs_dir={runs_dir}")
    settings = SlurmSettings(additional_parameters={"hold": True})
    entries = tuple(Entry(n, f"t{n:010d}", (f"e{n:010d}",), (f"seed={n}",)) for n in range(COUNT))
    sweep = Sweep(runs_dir / ".sweeps" / "k", "python -m paa.train", str(place), asdict(settings), entries)
    began = time.monotonic()
    sweep.write(content({**config, "seed": n}, [f"seed={n}"], {}, f"t{n:010d}") for n in range(COUNT))
    arrays = submit(sweep, range(COUNT), lambda text: None)
    took = time.monotonic() - began
    try:
        assert took < 60
        assert [len(array.parts) for array in arrays] == [101] * 9 + [91], "MaxArraySize of the test cluster is 101"
        assert len(set(sweep.ids().values())) == COUNT
        began = time.monotonic()
        found = rows(runs_dir)
        head, body = lines(found, runs_dir, 40)
        assert time.monotonic() - began < 5
        assert head == f"{COUNT} runs: {COUNT} pending"
        assert len(body) == 41
        assert "pending (JobHeldUser)" in body[0][3]
    finally:
        said = run(place, "paa.runs", "--runs-dir", str(runs_dir), "--cancel", "k", "--watch")
    assert said.returncode == 0, said.stderr
    assert f"cancelled {COUNT} jobs" in said.stdout
    assert f"{COUNT} runs: {COUNT} cancelled" in said.stdout


def test_a_driver_that_died_before_it_noted_its_array_loses_nothing(place, cluster: Cluster):
    """Its jobs are found by their name."""
    runs_dir = place / "unnoted"
    config = configuration(*TINY, f"runs_dir={runs_dir}")
    settings = asdict(SlurmSettings(additional_parameters={"hold": True}))
    entries = tuple(Entry(n, f"t{n:010d}", (f"e{n:010d}",), (f"seed={n}",)) for n in range(2))
    sweep = Sweep(runs_dir / ".sweeps" / "u", "python -m paa.train", str(place), settings, entries)
    sweep.write(content({**config, "seed": n}, [f"seed={n}"], {}, f"t{n:010d}") for n in range(2))
    (array,) = submit(sweep, [0, 1], lambda text: None)
    path = sweep.folder / "ids.jsonl"
    path.write_text(next(line for line in path.read_text().splitlines() if "parts" in line) + "\n")
    (left,) = sweeps(runs_dir)
    assert left.arrays() == [replace(array, job=None)]
    assert [row.status.id for row in rows(runs_dir)] == [f"{array.job}_0", f"{array.job}_1"]
    assert run(place, "paa.runs", "--runs-dir", str(runs_dir), "--cancel", "u").returncode == 0
