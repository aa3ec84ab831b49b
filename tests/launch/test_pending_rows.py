"""`python -m paa.runs status TABLE` where some of its rows are in SLURM's queue."""

from __future__ import annotations

import re
import shlex

from fakes import slurm  # noqa: F401
from running import TINY

from paa.commands.runs import main
from paa.config.compose import Composer
from paa.launch.ledger import Entry, Sweep
from paa.planning.rows import rows_of

SOME = "table1=a,fnp_10,fnp_3"
WORDS = [*TINY, "seed=0,1"]


def test_what_waits_in_slurm_s_queue_is_pending_and_in_no_command(here, capsys, slurm):  # noqa: F811
    """A job that was cancelled, and one that asks for less than the row does, are no help."""
    rows = {(row.name, row.seed): row for row in rows_of(SOME, WORDS).all}
    order = [("a", 0), ("a", 1), ("fnp_3", 0), ("fnp_3", 1)]
    evals = {key: tuple(e.eval_id for e in rows[key].evaluations) for key in order}
    evals["fnp_3", 0] = evals["fnp_3", 0][:1]
    entries = tuple(Entry(n, rows[key].train_id, evals[key], ()) for n, key in enumerate(order))
    made = Sweep(here / "runs" / ".sweeps" / "s", "python -m paa.train", "slurm", {}, str(here), entries)
    made.write({} for _ in entries)
    made.submitted(made.plan([[n] for n in range(4)]), "70")
    slurm.queue(("70_0", "PENDING"), ("70_1", "CANCELLED"), ("70_2", "PENDING"), ("70_3", "RUNNING"))
    stopped = rows["fnp_3", 1].paths
    stopped.folder.mkdir()
    stopped.metrics.write_text('{"step": 7}\n')
    assert main(["status", SOME, *WORDS]) == 0
    table, below = capsys.readouterr().out.split("\n\n")
    states = [re.split(r"  +", line)[3] for line in table.splitlines()[1:]]
    kinds = [state.partition(":")[0] for state in states]
    assert kinds == ["pending", "missing", "missing", "pending", "missing", "missing"]
    assert states[0].startswith("pending: 70_0 pending")
    assert states[3].startswith("pending: 70_3 running")
    lines = below.splitlines()
    assert lines[0] == "6 requested: 2 pending, 4 missing"
    compose = Composer()
    jobs = [job for line in lines[2:] for job in compose.jobs(shlex.split(line)[4:], True)]
    wanted = [("a", 1), ("fnp_3", 0), ("fnp_10", 0), ("fnp_10", 1)]
    assert sorted(map(sorted, jobs)) == sorted(
        sorted([f"table1={name}", *TINY, f"seed={seed}"]) for name, seed in wanted
    )
