"""Figure 3: what is drawn is what the boundaries say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from scipy.stats import norm

from paa.assign.boundary import A, B, C, D
from paa.figures import separation
from paa.figures.separation import Separation
from paa.figures.style import printed

OPTIONS = {"empty_foreground": "all", "single": "positive", "pos_peak": "list", "em_dtype": "float64"}
TWO_PEAKS = torch.tensor([0.30, 0.34, 0.35, 0.37, 0.41, 0.9, 1.2, 1.3, 1.35, 1.5, 2.4])


@pytest.mark.parametrize("changes", [{}, {"pos_peak": "subset", "em_dtype": "float32"}])
def test_labels_are_the_boundaries_own(changes):
    options = OPTIONS | changes
    found = Separation.of(TWO_PEAKS, **options)
    valid = torch.ones(1, len(TWO_PEAKS), dtype=torch.bool)
    for name, kind in (("a", A), ("b", B), ("c", C), ("d", D)):
        assert found.labels[name].tolist() == kind(**options)(TWO_PEAKS[None], valid)[0].tolist()
    assert set(found.labels["b"].tolist()) == {1, 0, -1}  # the scores tell the boundaries apart


def test_curves_are_those_of_the_fitted_mixture():
    found = Separation.of(TWO_PEAKS)
    x = np.linspace(0, 3, 50)
    expected = found.weights[:, None] * norm.pdf(x, found.means[:, None], np.sqrt(found.variances)[:, None])
    assert np.allclose(np.exp(found.log_components(x)), expected, rtol=1e-12)
    at = np.exp(found.log_components(found.scores))
    assert np.allclose(found.density, at.sum(0))
    assert np.allclose(found.posterior, at[0] / at.sum(0))
    assert found.weights.sum() == pytest.approx(1)
    first = found.posterior >= 0.5
    assert found.pos_peak == np.argmax(np.where(first, found.density, -1))
    assert found.neg_peak == np.argmax(np.where(first, -1, found.density))


def test_cuts_stand_where_labels_change():
    found = Separation.of(TWO_PEAKS)
    for name, labels in found.labels.items():
        between = [(a + b) / 2 for a, b in pairwise(found.scores)]
        changes = [at for at, (a, b) in zip(between, pairwise(labels), strict=True) if a != b]
        assert found.cuts(name).tolist() == changes
        assert len(changes) == {"a": 1, "b": 2, "c": 1, "d": 2}[name]


def test_the_page_holds_every_candidate_and_every_cut():
    found = Separation.of(TWO_PEAKS)
    with printed():
        figure = separation.draw(found, "a title")
    densities, posterior, rows = figure.axes
    assert len(densities.lines) == 5
    assert densities.lines[3].get_xdata().tolist() == found.scores[[found.pos_peak, found.neg_peak]].tolist()
    assert posterior.lines[-1].get_ydata().tolist() == found.posterior.tolist()
    drawn = np.concatenate([c.get_offsets() for c in rows.collections if not isinstance(c, LineCollection)])
    expected = [(score, row) for row in range(4) for score in found.scores]
    assert sorted(map(tuple, drawn.tolist())) == sorted((float(s), float(r)) for s, r in expected)
    cuts = [c for c in rows.collections if isinstance(c, LineCollection)]
    at = [sorted(segment[0][0] for segment in lines.get_segments()) for lines in cuts]
    assert at == [found.cuts(name).tolist() for name in "abcd"]


@pytest.mark.parametrize("scores", [[0.5], [0.4] * 7, [0.2, 1.9], [0.2, 0.21, 30.0, 31.0]])
@pytest.mark.filterwarnings("error")
def test_degenerate_candidates_are_drawn(scores):
    with printed():
        figure = separation.draw(Separation.of(torch.tensor(scores)), "a title")
        figure.canvas.draw()
    *_, rows = figure.axes
    drawn = np.concatenate([c.get_offsets() for c in rows.collections if not isinstance(c, LineCollection)])
    expected = [(score, row) for row in range(4) for score in scores]
    np.testing.assert_allclose(sorted(drawn.tolist()), sorted(expected), rtol=1e-6)
