"""What runs are called, and which are shown where none are named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paa.figures.runs import distinct, method, newest_paa, rivals

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runs"))
from records import config, training

PAA = {"_target_": "paa.assign.boundary.C"}
FNP = {"_target_": "paa.assign.boundary.FNP", "n": 3, "n_end": None}


def assigner(name: str) -> dict:
    return {"assign": {"_target_": f"paa.assign.{name}"}}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (config(PAA), "PAA"),
        (config({"_target_": "paa.assign.boundary.B2020"}), "PAA (b_2020)"),
        (config({"_target_": "mine.BetweenPeaks"}), "PAA (BetweenPeaks)"),
        (config(FNP), "FNP(3)"),
        (config({**FNP, "n": 20, "n_end": 1}), "FNP(20 to 1)"),
        (config({**FNP, "n_end": 3}), "FNP(3)"),
        (config({"_target_": "paa.assign.boundary.FSR", "t": 0.3}), "FSR(> 0.3)"),
        (config(**assigner("MaxIoU")), "IoU"),
        (config(**assigner("ATSS")), "ATSS"),
        (config(assign={"_target_": "mine.Nearest"}), "Nearest"),
    ],
)
def test_names_of_methods(node, expected):
    assert method(node) == expected


def test_equal_names_are_told_apart():
    assert distinct(["PAA", "ATSS", "PAA"], ["t0123456789", "t1", "tabcdef0123"]) == ["PAA t0123", "ATSS", "PAA tabcd"]


def test_the_newest_paa_run_and_the_newest_of_each_rival_that_can_be_compared():
    def run(name, started, node, **changes):
        return training(name, started=float(started), config=node, **changes)

    first = run("t1", 20, config(PAA))
    records = [
        run("t0", 10, config(PAA)),
        first,
        run("t2", 30, config(FNP)),
        run("t3", 15, config(FNP)),
        run("t4", 5, config(**assigner("ATSS"))),
        run("t5", 6, config(**assigner("MaxIoU"))),
        run("t6", 40, config({**FNP, "n": 9}), steps=9),  # other steps
        run("t7", 41, config({**FNP, "n": 8}), digests={"data.train": "other"}),
        run("t8", 2, config({"_target_": "paa.assign.boundary.D"})),
    ]
    assert newest_paa(records) is first
    assert [r.train_id for r in rivals(first, records)] == ["t5", "t4", "t2", "t8"]
    assert newest_paa([r for r in records if r.train_id in ("t2", "t4")]) is None
