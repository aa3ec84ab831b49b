"""What is said of the paper's claims: decided by interval and seeds, of detectors that have learned, or not at all."""

from pathlib import Path

import pytest
from made import Made, made

from paa.tables.bootstrap import Bootstrap
from paa.tables.claims import findings, positives
from paa.tables.verdicts import CONTRADICTED, SUPPORTED, UNDECIDED, Check, Judge, Side, difference, overall

BOOTSTRAP = Bootstrap(60)


def side(folder, name, error, **more):
    """A row that has been run with a detector of `error`; a small error is a good detector."""
    runs = Made(folder)
    runs.row("table1", name, error, **more)
    (entry,) = runs.entries("table1")
    return Side(name, entry.scores(False))


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sides")
    errors = {"good": 2, "same": 2, "poor": 7, "useless": 1000}
    return {name: side(folder, name, error) for name, error in errors.items()} | {
        "single": side(folder, "single", 2, done=(0,)),
        "absent": side(folder, "absent", None),
    }


@pytest.fixture
def judge(sides):
    return Judge([sides["good"].scores.entry], BOOTSTRAP, "good")


def test_a_difference_decides_by_its_side(judge, sides):
    better = judge.higher("x", difference(sides["good"], sides["poor"]))
    assert (better.verdict, better.why) == (SUPPORTED, "")
    assert better.estimate.low > 0
    assert all(value > 0 for value in better.estimate.by_seed)
    assert judge.higher("x", difference(sides["poor"], sides["good"])).verdict == CONTRADICTED
    same = judge.higher("x", difference(sides["good"], sides["same"]))
    assert (same.verdict, same.why) == (UNDECIDED, "neither side has the whole interval and all seeds")


def test_alike_and_no_gain_have_a_margin(judge, sides):
    good, poor, same = sides["good"], sides["poor"], sides["same"]
    assert judge.alike("x", same, good).verdict == SUPPORTED
    assert judge.alike("x", poor, good).verdict == CONTRADICTED
    assert judge.no_gain("x", same, good).verdict == SUPPORTED
    assert judge.no_gain("x", poor, good).verdict == SUPPORTED
    assert judge.no_gain("x", good, poor).verdict == CONTRADICTED
    assert judge.margin(good) == 1.0
    assert judge.margin(sides["useless"]) == 0.0
    assert judge.within("x", difference(good, poor), 0.5, 1.5, about=True).verdict == CONTRADICTED
    assert judge.within("x", difference(good, same), -0.5, 0.5, about=True).verdict == SUPPORTED


def test_one_seed_decides_nothing(judge, sides):
    found = judge.higher("x", difference(sides["single"], sides["poor"]))
    assert (found.verdict, found.why) == (UNDECIDED, "1 seed of at least 2")
    assert found.estimate.low > 0


def test_what_has_not_been_run_is_named(judge, sides):
    found = judge.higher("x", difference(sides["absent"], sides["good"]))
    assert (found.verdict, found.why, found.estimate) == (UNDECIDED, "absent: missing", None)
    assert judge.alike("x", Side("K 3", None), sides["good"]).why == "K 3: no such row"


def test_detectors_that_have_not_learned_decide_nothing(sides):
    judge = Judge([sides["useless"].scores.entry], BOOTSTRAP, "useless")
    found = judge.higher("x", difference(sides["good"], sides["poor"]))
    assert found.verdict == UNDECIDED
    assert found.why == "useless has AP 0.0: it has not learned enough"
    assert judge.per_seed("x", {0: 1.0, 1: 1.0}, "{}", all, any, "").verdict == UNDECIDED


def test_numbers_per_seed_decide_if_all_seeds_agree(judge):
    def verdict(values, missing=""):
        below = (lambda every: max(every) < 10), (lambda every: min(every) >= 10)
        return judge.per_seed("x", dict(enumerate(values)), "{:.0f}", *below, missing)

    assert verdict([5, 9]) == Check("x", SUPPORTED, "5, 9")
    assert verdict([5, 11]).verdict == UNDECIDED
    assert verdict([15, 11]).verdict == CONTRADICTED
    assert verdict([5]).why == "1 seed of at least 2"
    assert verdict([], "not run").why == "not run"


def test_a_claim_is_what_all_of_it_is():
    yes, no, open_ = (Check("", verdict, "") for verdict in (SUPPORTED, CONTRADICTED, UNDECIDED))
    assert overall([yes, yes]) == SUPPORTED
    assert overall([yes, open_]) == UNDECIDED
    assert overall([yes, open_, no]) == CONTRADICTED
    assert overall([]) == UNDECIDED


def test_all_nine_claims_are_there_with_runs_and_without(tmp_path):
    runs = made(tmp_path)
    groups = ("table1", "table2", "table2_right", "table4")
    found = findings({group: runs.entries(group) for group in groups}, BOOTSTRAP)
    assert [one.number for one in found] == list(range(1, 10))
    assert all(one.checks for one in found)
    nothing = findings({}, BOOTSTRAP)
    assert [one.number for one in nothing] == list(range(1, 10))
    assert {one.verdict for one in nothing} == {UNDECIDED}
    assert all(check.why for one in nothing for check in one.checks)
    by_number = {one.number: one for one in found}
    gains = {c.comparison: c.estimate.difference for c in by_number[3].checks}
    to_paa = gains["IoU to PAA"]
    found = {entry.name: entry.scores(False).values("AP").values() for entry in runs.entries("table2")}
    ap = {name: sum(values) / len(values) for name, values in found.items() if values}
    assert to_paa == pytest.approx(ap["paa_none"] - ap["max_iou_none"])
    adding = ap["paa_iou"] - ap["paa_none"]
    assert gains["IoU to PAA − adding IoU prediction"] == pytest.approx(to_paa - adding)


def test_positives_are_compared_between_the_ends_of_training(tmp_path):
    runs = Made(tmp_path)
    runs.row("table1", "paa", 2)
    lines = [(3, 4.0), (6, 5.0), (27, 7.0), (28, 7.0), (30, 9.0)]  # of 30 steps: up to 3, and after 27
    text = "".join(f'{{"step": {step}, "positives_per_gt": {value}}}\n' for step, value in lines)
    Path(tmp_path / "tpaa_0" / "metrics.jsonl").write_text(text + '{"step": 30, "AP": 1.0}\n')
    (entry,) = runs.entries("table1")
    assert positives(entry) == {0: 2.0}
