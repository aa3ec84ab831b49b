"""A slurmd that dies under a training, which goes on, and SLURM starts it again elsewhere: both must never write."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from cluster import ORPHAN, ids_by_seed, resumed_at, runs_by_seed, steps_done, sweep_of, until, weights

pytestmark = pytest.mark.slurm


def test_when_a_slurmd_dies_the_copy_waits_for_the_old_process_and_neither_repeats_the_other(orphaned):
    sweep = sweep_of(orphaned)
    job, paths = ids_by_seed(sweep)["8"], runs_by_seed(sweep, orphaned)["8"]
    log = sweep.logs / f"{job}_0_log.out"
    until(lambda: re.search("locked by", log.read_text()), "the copy, which finds the run locked", 120)
    until(lambda: paths.finished, "the record", 240)
    assert not resumed_at(paths), "the copy took the lock of a process that lives"
    done = Counter(steps_done(orphaned, "8"))
    assert set(done) | {0, ORPHAN // 2} >= {*range(ORPHAN)}
    assert set(done.values()) == {1}, "both did a step"
    lines = [json.loads(line)["step"] for line in paths.metrics.read_text().splitlines()]
    assert lines == list(range(1, ORPHAN + 1))
    assert weights(paths)
