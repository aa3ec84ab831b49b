"""Figure 4b: curves, what they are made of, and the schemes beside them."""

from __future__ import annotations

import numpy as np
import pytest

from paa.figures import positives
from paa.figures.positives import Counted, equal_schemes
from paa.figures.style import printed


def test_a_curve_is_smoothed_over_a_part_of_the_schedule():
    steps = np.arange(10, 1010, 10)
    rng = np.random.default_rng(0)
    counted = Counted(steps, rng.uniform(3, 9, 100), 1000)
    expected = [counted.values[np.abs(steps - step) <= 25].mean() for step in steps]
    assert np.allclose(counted.smooth, expected)
    assert np.allclose(Counted(steps, np.full(100, 7.0), 1000).smooth, 7)


def test_schemes_take_as_many_positives_as_the_run():
    steps = np.array([100, 200, 500])
    counted = Counted(steps, np.array([2.0, 4.0, 8.0]), 500)
    assert counted.mean == pytest.approx((2 * 100 + 4 * 100 + 8 * 300) / 500)  # 6
    assert equal_schemes(counted) == [(6, None), (11, 1)]
    rule = positives.FNP(11, 1)
    assert np.mean([rule.number(step / 500) for step in range(500)]) == pytest.approx(6, abs=0.1)
    assert equal_schemes(Counted(steps, np.full(3, 0.2), 500)) == [(1, None)]


def test_the_page_holds_raw_and_smoothed_curves_and_schemes():
    steps = np.arange(5, 105, 5)
    curves = {"PAA": Counted(steps, np.linspace(5, 7, 20), 100), "FNP(3)": Counted(steps, np.full(20, 2.9), 100)}
    with printed():
        figure = positives.draw(curves, [(3, None), (9, 1)])
    (axis,) = figure.axes
    raw, smooth = axis.lines[:4:2], axis.lines[1:4:2]
    for counted, behind, before in zip(curves.values(), raw, smooth, strict=True):
        assert behind.get_ydata().tolist() == counted.values.tolist()
        assert before.get_ydata().tolist() == counted.smooth.tolist()
        assert behind.get_zorder() < before.get_zorder()
    assert len({line.get_marker() for line in smooth}) == len({line.get_color() for line in smooth}) == 2
    fixed, decay = axis.lines[4:]
    assert set(fixed.get_ydata()) == {3}
    assert (decay.get_ydata()[0], decay.get_ydata()[50], decay.get_ydata()[-1]) == (9, 5, 1)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["PAA", "FNP(3)", "FNP(3), by definition", "FNP(9 to 1), by definition"]
