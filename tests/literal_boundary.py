"""Second implementations of the mixture and of the boundaries: loops over plain numbers, written from the definitions.

One ground truth at a time, `scores` an ascending list of floats. Also the random score sets that they are compared on.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Fitted = Callable[[tuple[float, ...]], tuple[list[int], list[float]]]


def log_terms(x: float, means: list[float], variances: list[float], weights: list[float]) -> list[float]:
    return [
        math.log(w) - 0.5 * math.log(2 * math.pi * v) - 0.5 * (x - m) ** 2 / v
        for m, v, w in zip(means, variances, weights, strict=True)
    ]


def log_sum(terms: list[float]) -> float:
    top = max(terms)
    return top + math.log(sum(math.exp(t - top) for t in terms))


def em(
    scores: list[float], tol: float = 1e-3, max_iter: int = 100
) -> tuple[list[float], list[float], list[float], int]:
    means, variances, weights = [min(scores), max(scores)], [1.0, 1.0], [0.5, 0.5]
    previous = -math.inf
    for step in range(1, max_iter + 1):
        shares, likelihood = [], 0.0
        for x in scores:
            terms = log_terms(x, means, variances, weights)
            total = log_sum(terms)
            likelihood += total / len(scores)
            shares.append([math.exp(t - total) for t in terms])
        masses = [sum(s[k] for s in shares) + 10 * 2.0**-52 for k in (0, 1)]
        for k in (0, 1):
            means[k] = sum(s[k] * x for s, x in zip(shares, scores, strict=True)) / masses[k]
            spread = sum(s[k] * (x - means[k]) ** 2 for s, x in zip(shares, scores, strict=True))
            variances[k] = spread / masses[k] + 1e-6
            weights[k] = masses[k] / sum(masses)
        if abs(likelihood - previous) < tol:
            return means, variances, weights, step
        previous = likelihood
    return means, variances, weights, max_iter


@functools.cache
def components_and_densities(scores: tuple[float, ...]) -> tuple[list[int], list[float]]:
    *mixture, _ = em(list(scores))
    terms = [log_terms(x, *mixture) for x in scores]
    return [0 if first >= second else 1 for first, second in terms], [log_sum(t) for t in terms]


def earliest_peak(component: int, components: list[int], densities: list[float]) -> int | None:
    best = None
    for i, density in enumerate(densities):
        if components[i] == component and (best is None or density > densities[best]):
            best = i
    return best


def boundary(
    rule: str,
    scores: list[float],
    empty_foreground: str = "all",
    single: str = "positive",
    pos_peak: str = "list",
    fitted: Fitted = components_and_densities,
) -> list[int]:
    """Label by rule a, b, b_2020, c or d: ignored, then negative, then positive are written over zeros.

    fitted  the component and the density of each score.
    """
    n = len(scores)
    if n == 0:
        return []
    if n == 1:
        return [1 if single == "positive" else 0]
    components, densities = fitted(tuple(scores))
    members = [[i for i in range(n) if components[i] == k] for k in (0, 1)]
    if not members[0]:
        return [1 if empty_foreground == "all" else 0] * n
    p = earliest_peak(0, components, densities)
    q = earliest_peak(1, components, densities)
    assert p is not None
    ignored: list[int] = []
    negative: list[int] = []
    positive = list(range(p + 1))
    if pos_peak == "subset":
        # The peak's index among the members of component 0, of which so many and one are taken.
        positive = members[0][: members[0].index(p) + 1]
    if rule == "a":
        positive = members[0]
    elif rule == "b":
        negative = list(range(n))
        if q is not None:
            ignored, negative = list(range(p + 1, q)), list(range(q, n))
    elif rule == "b_2020":
        negative = list(range(n))
        if q is not None:
            ignored, negative = list(range(p + 1, n)), list(range(n))[-q - 1 :]
    elif rule == "d":
        ignored = [i for i in members[0] if i > p]
        negative = members[1]
    labels = [0] * n
    for i in ignored:
        labels[i] = -1
    for i in negative:
        labels[i] = 0
    for i in positive:
        labels[i] = 1
    return labels


def score_sets(count: int, seed: int, least: int = 2, most: int = 45) -> list[np.ndarray]:
    """Return ascending float64 sets of `least` to `most` scores of many kinds, in turn."""
    rng = np.random.default_rng(seed)
    sets = []
    for i in range(count):
        n = int(rng.integers(least, most + 1))
        split = int(rng.integers(0, n + 1))
        kind = i % 10
        if kind == 0:  # two modes
            values = np.concatenate((rng.normal(1, 0.2, split), rng.normal(3, 0.4, n - split)))
        elif kind == 1:  # the same, as float32 scores are
            values = np.concatenate((rng.normal(0.7, 0.1, split), rng.normal(2, 1, n - split)))
            values = values.astype(np.float32).astype(np.float64)
        elif kind == 2:
            values = rng.normal(rng.uniform(0, 5), rng.uniform(0.01, 2), n)
        elif kind == 3:
            values = rng.uniform(0, rng.uniform(0.1, 10), n)
        elif kind == 4:  # ties, on a coarse grid and on a fine one
            values = (
                np.round(rng.normal(2, 0.5, n), 1) if i % 20 < 10 else rng.integers(0, rng.integers(2, 9), n) * 0.37
            )
        elif kind == 5:  # all equal, some of them great
            values = np.full(n, rng.uniform(0, 10) ** rng.integers(1, 6))
        elif kind == 6:  # a few far out
            values = rng.normal(1, 0.3, n)
            values[: max(1, n // 10)] += rng.choice([-1, 1]) * rng.uniform(5, 1000)
        elif kind == 7:  # nearly equal
            values = 1.3 + rng.uniform(0, 10.0 ** -rng.integers(2, 6), n)
        elif kind == 8:
            values = rng.gamma(2, 0.7, n)
        else:  # a long flat shoulder behind a sharp mode: component 0 may surround component 1
            values = np.concatenate((rng.normal(1, 0.01, split), rng.uniform(0.5, 6, n - split)))
        sets.append(np.sort(values))
    return sets


def pad(sets: list[np.ndarray], width: int = 45, fill: float = math.inf) -> tuple[Tensor, Tensor]:
    """Pad a list of sets to scores [N, width] float64 and valid [N, width]."""
    scores = torch.full((len(sets), width), fill, dtype=torch.float64)
    valid = torch.zeros(len(sets), width, dtype=torch.bool)
    for i, values in enumerate(sets):
        scores[i, : len(values)] = torch.from_numpy(np.asarray(values, dtype=np.float64))
        valid[i, : len(values)] = True
    return scores, valid
