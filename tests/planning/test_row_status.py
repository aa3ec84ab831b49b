"""`python -m paa.runs status TABLE`: where each row stands, and the commands that run what is missing."""

from __future__ import annotations

import re
import shlex
import time

import pytest
from running import TINY, as_finished

from paa import files
from paa.commands.runs import main
from paa.config.compose import Composer
from paa.planning.rows import rows_of
from paa.store import failure
from paa.store.lock import acquire
from paa.store.process import Process

SOME = "table1=a,fnp_10,fnp_3"
WORDS = [*TINY, "seed=0,1"]


@pytest.fixture
def rows(here):
    return {(row.name, row.seed): row for row in rows_of(SOME, WORDS).all}


def finish(row, count=2):
    digests = {"data.train": "1", "data.val": "2"}
    as_finished(row.paths, row.config, row.evaluations[:count], digests, seed=row.seed)


def asked(capsys, *words):
    code = main(["status", *words])
    text = capsys.readouterr()
    return code, text.out, text.err


def test_every_state_of_a_row_and_how_to_run_what_is_missing(rows, capsys):
    finish(rows["a", 0])
    finish(rows["fnp_3", 1], count=1)
    broken, going = rows["a", 1].paths, rows["fnp_10", 0].paths
    broken.folder.mkdir()
    failure.write(broken, "Traceback (most recent call last)\nRuntimeError: out of paper\n")
    going.folder.mkdir()
    files.write_json(going.progress, {"step": 20, "steps": 30, "time": time.time(), "eta_s": 3723.0})
    with acquire(going.lock):
        code, out, err = asked(capsys, SOME, *WORDS)
    assert (code, err) == (0, "")
    lines = [re.split(r"  +", line) for line in out.split("\n\n")[0].splitlines()]
    assert lines[0] == ["row", "seed", "id", "state"]
    assert [line[:3] for line in lines[1:]] == [
        [name, str(seed), rows[name, seed].train_id] for name in ("a", "fnp_3", "fnp_10") for seed in (0, 1)
    ]
    states = [line[3] for line in lines[1:]]
    assert states[4].startswith(f"running at step 20 of 30 on {Process.current()}, 1:0")
    assert states[:4] + states[5:] == [
        "done: weights removed",
        "failed: RuntimeError: out of paper",
        "missing",
        "trained: 1 of 2 evaluations missing, weights removed",
        "missing",
    ]
    below = out.split("\n\n")[1].splitlines()
    assert below[0] == "6 requested: 1 done, 1 trained, 1 running, 1 failed, 2 missing"
    commands = [shlex.split(line) for line in below[2:]]
    assert [command[:4] for command in commands] == [["python", "-m", "paa.train", "-m"]] * 2
    compose = Composer()
    jobs = [job for command in commands for job in compose.jobs(command[4:], True)]
    wanted = [("a", 1), ("fnp_3", 0), ("fnp_3", 1), ("fnp_10", 1)]
    assert sorted(map(sorted, jobs)) == sorted(
        sorted([f"table1={name}", *TINY, f"seed={seed}"]) for name, seed in wanted
    )


def test_all_done_says_no_command(rows, capsys):
    for row in rows.values():
        finish(row)
    assert asked(capsys, SOME, *WORDS)[1].endswith("\n\n6 requested: 6 done\n")


def test_interrupted_rows_and_those_of_another_folder(rows, capsys, here):
    row = rows["a", 0]
    row.paths.checkpoints.mkdir(parents=True)
    (row.paths.checkpoints / "00000007.pt").touch()
    _, out, _ = asked(capsys, "table1=a", *TINY)
    assert re.split(r"  +", out.splitlines()[1]) == ["a", "0", row.train_id, "interrupted at step 7 of 30"]
    _, out, _ = asked(capsys, "table1=a", "--runs-dir", str(here / "far"), *TINY)
    assert out.splitlines()[1].endswith("missing")
    assert f"runs_dir={here / 'far'}" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table9"], "paa.runs: table9: "),
        (["table1=a", "table2=paa_iou"], "paa.runs: table2=paa_iou: "),
        (["table1=a", "recipe=tiny"], "paa.runs: recipe=tiny: "),
        (["table1=a", "data=custom"], "paa.runs: data.root is missing"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(words, message, capsys):
    code, out, err = asked(capsys, *words)
    assert (code, out) == (1, "")
    assert err.startswith(message)
    assert err.count("\n") == 1
