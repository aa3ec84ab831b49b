"""Trained numbers equal the committed ones, unless `paa.NUMERICS` was raised."""

from __future__ import annotations

import copy

import pytest
from golden_training import CHANGED, COMMAND, FILE, TRAININGS, differences, train, update

import paa
from paa import files


@pytest.fixture(scope="module")
def committed():
    return files.read_json(FILE)


def test_the_committed_numbers_are_of_this_numerics(committed):
    assert committed["numerics"] == paa.NUMERICS, f"paa.NUMERICS is {paa.NUMERICS}: run `{COMMAND}`"
    assert list(committed["trainings"]) == list(TRAININGS)
    assert all(len(numbers["steps"]) == 20 for numbers in committed["trainings"].values())


@pytest.mark.parametrize("name", TRAININGS)
def test_twenty_steps_train_to_the_committed_numbers(name, committed, runs_dir):
    changed = differences(committed["trainings"][name], train(name, runs_dir))
    assert not changed, "\n".join([f"{CHANGED} ({len(changed)} numbers of {name})", *changed[:10]])


@pytest.mark.parametrize(
    ("part", "key", "factor", "seen"),
    [
        (19, "loss_box", 1.0003, True),
        (19, "loss_box", 1.00003, False),
        (3, "positives", 1.02, True),
        (3, "positives", 1.005, False),
        (0, "loss", float("nan"), True),
        ("weights", "head, sum w^2", 0.999, True),
    ],
)
def test_a_changed_number_is_seen(part, key, factor, seen, committed):
    numbers = committed["trainings"]["PAA, IoU prediction, AdamW"]
    changed = copy.deepcopy(numbers)
    (changed["weights"] if part == "weights" else changed["steps"][part])[key] *= factor
    assert bool(differences(numbers, changed)) == seen
    if seen:
        assert key in differences(numbers, changed)[0]


def test_the_script_refuses_other_numbers_of_one_numerics(tmp_path, committed):
    path, found = tmp_path / FILE.name, committed["trainings"]
    assert update(path, found, 7) == f"{path.name}: written for NUMERICS 7"
    first = path.read_bytes()
    nearly, other = copy.deepcopy(found), copy.deepcopy(found)
    nearly["ATSS, centerness, SGD"]["steps"][0]["loss"] *= 1.00001
    other["ATSS, centerness, SGD"]["steps"][0]["loss"] *= 1.01
    assert update(path, nearly, 7) == f"{path.name}: nothing has changed"
    with pytest.raises(SystemExit, match=r"ATSS, centerness, SGD: step 1: loss: (.|\n)* raise paa.NUMERICS and run"):
        update(path, other, 7)
    assert path.read_bytes() == first
    update(path, other, 8)
    assert files.read_json(path) == {"numerics": 8, "trainings": other}
