"""The batched EM against scikit-learn, against loops over plain numbers, and against itself in other company."""

from __future__ import annotations

import math
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from literal_boundary import em, pad, score_sets
from torch import Tensor

from paa.assign.boundary import C
from paa.assign.mixture import Mixture, fit, log_joint

FIELDS = ("means", "variances", "weights", "iterations", "converged")


def equal(one: Mixture, other: Mixture) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in FIELDS)


def finite(mixture: Mixture, scores: Tensor) -> bool:
    parameters = (mixture.means, mixture.variances, mixture.weights, log_joint(mixture, scores))
    return all(bool(p.isfinite().all()) for p in parameters)


@pytest.fixture(scope="module")
def mixed() -> tuple[Tensor, Tensor]:
    """300 sets of 0 to 45 scores, the first three without any."""
    return pad([np.empty(0)] * 3 + score_sets(297, seed=5, least=1))


def scikit_learn(sets: list[np.ndarray]) -> list[tuple[np.ndarray, list[int], int, bool, np.ndarray]]:
    """Of each set: components, ranks of the two peaks (-1 for none), steps, whether it converged, means."""
    sklearn, mixtures = pytest.importorskip("sklearn"), pytest.importorskip("sklearn.mixture")
    found = []
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for values in sets:
            column = values[:, None]
            reference = mixtures.GaussianMixture(
                2, weights_init=[0.5, 0.5], means_init=[[values[0]], [values[-1]]], precisions_init=[[[1.0]], [[1.0]]]
            )
            components, density = reference.fit_predict(column), reference.score_samples(column)
            members = [np.flatnonzero(components == k) for k in (0, 1)]
            peaks = [int(m[density[m].argmax()]) if len(m) else -1 for m in members]
            found.append((components, peaks, reference.n_iter_, reference.converged_, reference.means_[:, 0]))
    return found


def mirrored(values: np.ndarray) -> bool:
    """Whether the set is its own mirror image: its middle is then an exact tie, and which way it falls is rounding."""
    middle = values[0] + values[-1]
    return bool(np.abs(values + values[::-1] - middle).max() < 1e-9 * max(1, abs(middle)))


def test_scikit_learn():
    pytest.importorskip("sklearn")
    sets = score_sets(3000, seed=1)
    scores, valid = pad(sets)
    fitted = C().fitted(scores, valid)
    assert finite(fitted.mixture, scores)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        halves = list(pool.map(scikit_learn, (sets[:1500], sets[1500:])))
    wrong: dict[str, list[int]] = {"labels": [], "peaks": [], "steps": [], "converged": [], "means": []}
    for i, (components, peaks, steps, converged, means) in enumerate(halves[0] + halves[1]):
        agree = {
            "labels": np.array_equal(fitted.background[i, : len(components)].numpy(), components == 1),
            "peaks": peaks == [int(fitted.pos_peak[i]), int(fitted.neg_peak[i])],
            "steps": steps == int(fitted.mixture.iterations[i]),
            "converged": converged == bool(fitted.mixture.converged[i]),
            "means": np.allclose(means, fitted.mixture.means[i], rtol=1e-7, atol=1e-7),
        }
        for name, same in agree.items():
            if not same:
                wrong[name].append(i)
    for name, rows in wrong.items():
        assert len(rows) <= 10, (name, rows)
        assert all(mirrored(sets[i]) for i in rows), (name, rows)


def test_loops_over_plain_numbers():
    sets = score_sets(200, seed=2, least=1)
    mixture = fit(*pad(sets))
    for i, values in enumerate(sets):
        means, variances, weights, steps = em(values.tolist())
        assert int(mixture.iterations[i]) == steps, i
        np.testing.assert_allclose(mixture.means[i], means, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(mixture.variances[i], variances, rtol=1e-6)
        np.testing.assert_allclose(mixture.weights[i], weights, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("threads", [1, 2])
def test_early_exit_changes_no_bit(mixed: tuple[Tensor, Tensor], dtype: torch.dtype, threads: int):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        default = fit(*mixed, dtype=dtype)
        assert equal(default, fit(*mixed, dtype=dtype, early_exit=True))
        assert equal(default, fit(*mixed, dtype=dtype, early_exit=False))
        cut = fit(*mixed, dtype=dtype, max_iter=9)
        assert equal(cut, fit(*mixed, dtype=dtype, max_iter=9, early_exit=False))
    finally:
        torch.set_num_threads(before)
    assert len(default.iterations.unique()) > 8  # sets stop one by one, so finished ones were dropped on the way


def test_each_set_stops_on_its_own(mixed: tuple[Tensor, Tensor]):
    scores, valid = mixed
    together = fit(scores, valid)
    for i in range(0, 300, 23):
        alone = fit(scores[i : i + 1], valid[i : i + 1])
        assert int(alone.iterations) == int(together.iterations[i])
        torch.testing.assert_close(alone.means[0], together.means[i], rtol=1e-12, atol=1e-12)


def test_too_few_steps(mixed: tuple[Tensor, Tensor]):
    one = fit(*mixed, max_iter=1)
    assert not one.converged.any()
    assert (one.iterations == 1).all()
    full = fit(*mixed)
    assert full.converged.all()
    assert int(full.iterations.min()) == 2
    five = fit(*mixed, max_iter=5)
    assert torch.equal(five.iterations, full.iterations.clamp(max=5))
    assert torch.equal(five.converged, full.iterations <= 5)


def test_permuted_sets_give_permuted_mixtures(mixed: tuple[Tensor, Tensor]):
    scores, valid = mixed
    order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(0))
    there, here = fit(scores[order], valid[order]), fit(scores, valid)
    assert torch.equal(there.iterations, here.iterations[order])
    torch.testing.assert_close(there.means, here.means[order], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(there.variances, here.variances[order], rtol=1e-9, atol=0)


@pytest.mark.parametrize("fill", [math.inf, -math.inf, math.nan, -7.0])
@pytest.mark.parametrize("width", [45, 46, 64, 101])
def test_padding_is_never_read(mixed: tuple[Tensor, Tensor], fill: float, width: int):
    scores, valid = mixed
    more = width - scores.shape[1]
    padded = torch.nn.functional.pad(scores.masked_fill(~valid, fill), (0, more), value=fill)
    there, here = fit(padded, torch.nn.functional.pad(valid, (0, more))), fit(scores, valid)
    assert torch.equal(there.iterations, here.iterations)
    torch.testing.assert_close(there.means, here.means, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(there.weights, here.weights, rtol=1e-12, atol=1e-12)


def test_order_within_a_set_is_free(mixed: tuple[Tensor, Tensor]):
    scores, valid = mixed
    turned = fit(scores.flip(1), valid.flip(1))
    torch.testing.assert_close(turned.means, fit(scores, valid).means, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_extreme_scores_stay_finite(dtype: torch.dtype):
    rows = [
        [],
        [0.0],
        [1e8],
        [1e8, 1e8],
        [-1e8, 0.0, 1e8],
        [0.0, 0.0, 0.0, 1e8],
        [1e-300, 2e-300],
        [1e8, 1e8 + 1e-5, 1e8 + 1e-4],
        [-1e38, 1.0, 1e38],
        [1.0, 2.0, math.inf],
        [-math.inf, 1.0, math.nan],
        [math.nan, math.nan],
        [1e308, 1.7e308],
        [-5.0, -4.0, -4.0, 3.0],
        [1.0] * 44 + [1e300],
    ]
    scores, valid = pad([np.array(r) for r in rows])
    for given in (scores, scores.float()):
        mixture = fit(given, valid, dtype=dtype)
        assert finite(mixture, given)
        assert mixture.means.dtype == dtype
        assert (mixture.variances > 0).all()
        assert (mixture.weights > 0).all()
        torch.testing.assert_close(mixture.weights.sum(1), torch.ones(len(rows), dtype=dtype))


def test_float32_follows_float64(mixed: tuple[Tensor, Tensor]):
    scores, valid = mixed
    single, double = fit(scores.float(), valid, dtype=torch.float32), fit(scores, valid)
    assert finite(single, scores)
    close = (single.means.double() - double.means).abs() < 1e-3 * (1 + double.means.abs())
    assert close.double().mean() > 0.9


@pytest.mark.parametrize("shape", [(0, 45), (0, 0), (3, 0)])
def test_nothing_to_fit(shape: tuple[int, int]):
    mixture = fit(torch.zeros(shape), torch.zeros(shape, dtype=torch.bool))
    assert mixture.means.shape == mixture.variances.shape == mixture.weights.shape == (shape[0], 2)
    assert finite(mixture, torch.zeros(shape))


def test_equal_scores_tie():
    scores, valid = pad([np.full(n, value) for n in (2, 7, 45) for value in (0.0, 1.3, 1e8)])
    mixture = fit(scores, valid)
    joint = log_joint(mixture, scores)
    assert torch.equal(joint[valid][:, 0], joint[valid][:, 1])
    assert torch.equal(mixture.weights, torch.full_like(mixture.weights, 0.5))
    for row, mask in zip(joint.logsumexp(-1), valid, strict=True):
        assert len(row[mask].unique()) == 1


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"dtype=torch.float16: must be torch.float64 or torch.float32"):
        fit(torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool), dtype=torch.float16)
    with pytest.raises(ValueError, match=r"max_iter=0: must be from 1"):
        fit(torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool), max_iter=0)
