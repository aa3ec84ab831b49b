"""Differences of AP between evaluated runs, with an interval: a paired bootstrap over the test images.

Two runs are evaluated on the same images, and an image that is hard for one is hard for the other. So each resample of
the images is used for all runs, and the interval is that of their difference. Seeds are strata: runs are compared
within a seed, and the mean over the seeds is estimated. All seeds use the same resamples, because they were evaluated
on the same images; new resamples for each seed would treat these images as independent and make intervals too narrow.
The seeds themselves are not resampled: an interval describes other images, not other seeds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from paa.checks import UserError
from paa.evaluation.matches import Array, Matches
from paa.tables.bootstrap_ap import draw, resampled

RESAMPLES = 1000
"""Resamples of a bootstrap: an interval's end then depends on 25 of them, and p is at least 0.002."""

LEVEL = 0.95


class PairingError(UserError, ValueError):
    """Evaluations that cannot be compared image by image; the message says why."""


@dataclass(frozen=True)
class Term:
    """A term of a sum: factor x AP (or AP50, AP75) of one table row; matches is {seed: path of the .npz}."""

    factor: float
    matches: Mapping[int, Path]
    metric: str = "AP"


@dataclass(frozen=True)
class Estimate:
    """A difference in AP, percent, or another sum of APs.

    difference    on all images, mean over the seeds of `by_seed`.
    low, high     95 % interval: percentiles of the resamples.
    p             two-sided: twice the smaller share of resamples on either side of 0, the observation included, so
                  that it is never 0.
    paired_seeds  the seeds that all rows have.
    """

    difference: float
    low: float
    high: float
    p: float
    paired_seeds: tuple[int, ...]
    by_seed: tuple[float, ...]
    resamples: int


class Bootstrap:
    """Resamples of the test images, the same for all evaluations. Each file is read once."""

    def __init__(self, resamples: int = RESAMPLES, seed: int = 0) -> None:
        self.resamples = resamples
        self._evaluated: dict[Path, tuple[dict[str, Array], str]] = {}
        self._copies = cache(lambda images: np.vstack([np.ones((1, images), np.int32), draw(images, resamples, seed)]))

    def evaluated(self, path: Path) -> tuple[dict[str, Array], str]:
        """Return {metric: [1 + resamples]} of the matches in `path`, first on all images; and a digest of the truth.

        Only evaluations of the same truth, images and their numbers of ground truths, can be paired.
        FileNotFoundError; ValueError names the file.
        """
        if path not in self._evaluated:
            matches = Matches.load(path)
            copies = self._copies(len(matches.image_ids))
            self._evaluated[path] = resampled(matches, copies), _truth(matches)
        return self._evaluated[path]

    def difference(self, ours: Mapping[int, Path], theirs: Mapping[int, Path], metric: str = "AP") -> Estimate:
        """Estimate ours - theirs; see `estimate`."""
        return self.estimate([Term(1.0, ours, metric), Term(-1.0, theirs, metric)])

    def estimate(self, terms: Sequence[Term]) -> Estimate:
        """Estimate the sum of `terms`, on the seeds that all of them have.

        PairingError if they have no seed in common, were evaluated on different images or ground truths, or there is
        no ground truth. FileNotFoundError if matches were removed.
        """
        seeds = tuple(sorted(set.intersection(*(set(term.matches) for term in terms))))
        if not seeds:
            raise PairingError("no seed in common")
        by_seed, draws, truths = np.zeros(len(seeds)), np.zeros(self.resamples), set()
        for term in terms:
            for i, seed in enumerate(seeds):
                ap, truth = self.evaluated(term.matches[seed])
                truths.add(truth)
                by_seed[i] += term.factor * ap[term.metric][0]
                draws += term.factor * ap[term.metric][1:] / len(seeds)
        if len(truths) > 1:
            raise PairingError("evaluated on other images")
        draws = draws[~np.isnan(draws)]  # a resample without any ground truth
        if np.isnan(by_seed).any() or not len(draws):
            raise PairingError("no ground truth")
        low, high, p = _interval(draws)
        return Estimate(float(by_seed.mean()), low, high, p, seeds, tuple(by_seed.tolist()), len(draws))


def _truth(matches: Matches) -> str:
    order = np.lexsort((matches.gt_label, matches.gt_image))
    digest = hashlib.sha256(matches.image_ids.astype(np.int64).tobytes())
    for held in (matches.gt_image, matches.gt_label, matches.gt_count):
        digest.update(np.ascontiguousarray(held[order], dtype=np.int64).tobytes())
    return digest.hexdigest()


def _interval(draws: Array) -> tuple[float, float, float]:
    """The ends of the interval, and p."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    zero = np.abs(draws) < 1e-9  # sums of equal numbers, except for rounding: on both sides
    smaller = min(np.count_nonzero((draws < 0) | zero), np.count_nonzero((draws > 0) | zero))
    return float(low), float(high), min(1.0, 2 * (int(smaller) + 1) / (len(draws) + 1))
