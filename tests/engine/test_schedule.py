import math

import pytest

from paa.checks import OutOfRange
from paa.engine.schedule import MultiStep, OneCycle, in_epochs, milestones_in_epochs


def test_the_paper_s_schedule():
    schedule = MultiStep(90_000)
    assert schedule.factor(0) == schedule.factor(499) == pytest.approx(1 / 3)
    assert schedule.factor(500) == schedule.factor(59_999) == 1
    assert schedule.factor(60_000) == schedule.factor(79_999) == pytest.approx(0.1)
    assert schedule.factor(80_000) == schedule.factor(89_999) == pytest.approx(0.01)


def test_linear_warm_up_rises_from_its_factor_to_one():
    schedule = MultiStep(1000, warmup="linear", warmup_steps=100, warmup_factor=0.001)
    assert schedule.factor(0) == pytest.approx(0.001)
    assert schedule.factor(50) == pytest.approx(0.5005)
    assert schedule.factor(100) == 1
    rise = [schedule.factor(step) for step in range(101)]
    assert rise == sorted(rise)


def test_mmdetection_s_warm_up_is_over_at_its_last_step():
    """mmengine's LinearLR, end=500: its factor at step s is start + (1 - start) s / (end - begin - 1)."""
    schedule = MultiStep(1000, warmup="linear_last", warmup_steps=500, warmup_factor=0.001)
    for step in (0, 1, 250, 498, 499):
        assert schedule.factor(step) == pytest.approx(0.001 + 0.999 * step / 499)
    assert schedule.factor(499) == schedule.factor(500) == 1
    assert MultiStep(9, warmup="linear_last", warmup_steps=1, warmup_factor=0.5).factor(0) == 0.5
    assert MultiStep(9, warmup="linear_last", warmup_steps=0).factor(0) == 1


@pytest.mark.parametrize(
    ("steps", "length", "falls"),
    [
        (90_000, 12 * 7330, (8 * 7330, 11 * 7330)),
        (135_000, 18 * 7330, (12 * 7330, 16 * 7330)),
        (180_000, 24 * 7330, (16 * 7330, 22 * 7330)),
        (360_000, 360_000, (240_000, 320_000)),
    ],
)
def test_the_paper_s_lengths_in_epochs(steps, length, falls):
    assert in_epochs(steps, "steps") == steps
    assert in_epochs(steps, "epochs") == length
    for count, total, milestones in (("steps", steps, (steps * 2 // 3, steps * 8 // 9)), ("epochs", length, falls)):
        schedule = MultiStep(total, milestones_in_epochs(steps, count), warmup_steps=0)
        for i, fall in enumerate(milestones):
            assert schedule.factor(fall - 1) == pytest.approx(0.1**i)
            assert schedule.factor(fall) == pytest.approx(0.1 ** (i + 1))


def test_warm_up_past_a_milestone_has_both_factors():
    schedule = MultiStep(10, milestones=[0.5], warmup_steps=8, warmup_factor=0.5)
    assert [schedule.factor(step) for step in (4, 5, 7, 8)] == pytest.approx([0.5, 0.05, 0.05, 0.1])


def test_no_warm_up_and_no_milestones_is_constant():
    schedule = MultiStep(10, milestones=[], warmup_steps=0)
    assert {schedule.factor(step) for step in range(10)} == {1.0}


def test_one_cycle_begins_peaks_and_ends_where_it_says():
    schedule = OneCycle(100, rise=0.2, start_factor=0.04, end_factor=1e-4)
    factors = [schedule.factor(step) for step in range(100)]
    assert factors[0] == pytest.approx(0.04)
    assert factors[20] == max(factors) == 1
    assert factors[10] == pytest.approx((1 + 0.04) / 2)
    assert factors[60] == pytest.approx((1 + 1e-4) / 2)
    assert schedule.factor(100) == pytest.approx(1e-4)
    assert factors[:21] == sorted(factors[:21])
    assert factors[20:] == sorted(factors[20:], reverse=True)


@pytest.mark.parametrize("schedule", [OneCycle(1), OneCycle(1, rise=0), OneCycle(2), MultiStep(1), OneCycle(3, 0.99)])
def test_the_shortest_trainings_have_a_rate(schedule):
    assert all(
        0 < schedule.factor(step) <= 1 and math.isfinite(schedule.factor(step)) for step in range(schedule.steps)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiStep(0), "steps=0 is out of range: must be an integer from 1"),
        (lambda: MultiStep(9, milestones=3), "milestones=3: must be a list of ascending fractions of the steps"),
        (lambda: MultiStep(9, milestones=[0.5, 0.2]), r"milestones=\[0.5, 0.2\]: must be ascending fractions"),
        (lambda: MultiStep(9, milestones=[60000]), "milestones=60000 is out of range: must be a number above 0 to 1"),
        (lambda: MultiStep(9, warmup="cosine"), "warmup=cosine: must be one of constant, linear, linear_last"),
        (lambda: in_epochs(9, "images"), "compat.length=images: must be one of steps, epochs"),
        (lambda: MultiStep(9, warmup_steps=-1), "warmup_steps=-1 is out of range: must be an integer from 0"),
        (lambda: MultiStep(9, warmup_factor=0), "warmup_factor=0 is out of range: must be a number above 0 to 1"),
        (lambda: MultiStep(9, gamma=2), "gamma=2 is out of range"),
        (lambda: OneCycle(9, rise=1), "rise=1 is out of range: must be a number from 0 below 1"),
        (lambda: OneCycle(9, start_factor=0), "start_factor=0 is out of range"),
        (lambda: OneCycle(9, end_factor=2), "end_factor=2 is out of range"),
    ],
)
def test_ranges(make, message):
    with pytest.raises(OutOfRange, match=message):
        make()
