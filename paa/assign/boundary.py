"""Separation boundaries: which of a ground truth's anchors, ranked by score, become positive.

Paper, section 3.1, Figure 3 (a)-(d), and the two simpler rules that it is compared with (section 4.2): a fixed number
of positives (FNP) and a fixed range of scores (FSR).

A boundary is called as `boundary(scores, valid, progress)`: scores [N, M] (losses: small is good) ascending in each
row with the padding last, valid [N, M] bool, progress of training in [0, 1]. It returns labels [N, M] int8, POSITIVE,
NEGATIVE or IGNORED, NEGATIVE in the padding. N ground truths, M candidates of the one that has most. Its `scope` says
what it wants to see: the "candidates" of each ground truth (the best of each level) or all its "anchors".
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from paa.assign.mixture import Mixture, fit, log_joint
from paa.checks import Checked, checked, choice, integer, number

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1

DTYPES = {"float64": torch.float64, "float32": torch.float32}


@dataclass(frozen=True)
class Fitted:
    """Ranked candidates with the mixture fitted to them: what a boundary decides by.

    scores      [N, M], ascending; padding last.
    valid       [N, M] bool.
    rank        [1, M] int64: 0, 1, 2, ...
    foreground  [N, M] bool, the posterior gives the candidate to component 0 (ties too); false in the padding.
    background  [N, M] bool, it gives it to component 1.
    density     [N, M], log of the mixture's density at each candidate.
    pos_peak    [N, 1] int64, rank of the densest foreground candidate, the earliest of equals; -1 where there is none.
    neg_peak    [N, 1] int64, the same of the background.
    to_peak     [N, M] bool, the candidates from the best to pos_peak; what lies there but is background counts as
                well unless the boundary was built with pos_peak="subset".
    mixture     the parameters, a row a ground truth.
    """

    scores: Tensor
    valid: Tensor
    rank: Tensor
    foreground: Tensor
    background: Tensor
    density: Tensor
    pos_peak: Tensor
    neg_peak: Tensor
    to_peak: Tensor
    mixture: Mixture


def write(positive: Tensor, *, negative: Tensor | None = None, ignored: Tensor | None = None) -> Tensor:
    """Labels int8 from masks of one shape, written in the order ignored, negative, positive: the later wins.

    What no mask holds is negative. (Authors' code: the order of the three assignments after the fit.)
    """
    labels = positive.to(torch.int8)
    if ignored is None:
        return labels
    kept = ~positive if negative is None else ~(positive | negative)
    return labels.masked_fill(ignored & kept, IGNORED)


@dataclass(eq=False)
class MixtureBoundary(Checked, ABC):
    """Base of the boundaries that look at the fitted mixture: fits, finds the peaks, settles the degenerate cases.

    A boundary of your own implements `separate` and nothing else:

        class BetweenPeaks(MixtureBoundary):
            '''Positive up to half-way between the two peaks; ignored from there to the second.'''

            def separate(self, fitted: Fitted) -> Tensor:
                middle = (fitted.pos_peak + fitted.neg_peak) // 2
                return write(fitted.rank <= middle, ignored=fitted.rank < fitted.neg_peak)

    `separate` sees every row, also those of no or one candidate or with an empty component, and may return anything
    there: the base overwrites the rows that the rules below settle, and the padding. Where component 1 is empty its
    neg_peak is -1: the boundary itself must give sense to that.

    empty_foreground  a ground truth whose posterior gives no candidate to component 0: "all" candidates are positive
                      (authors' code) or "none" is (MMDetection: then all are negative).
    single            the only candidate of a ground truth is "positive" (authors' code) or "negative" (MMDetection).
    pos_peak          candidates up to the peak are counted in the whole sorted "list" (authors' code) or in the
                      foreground "subset" only (MMDetection: background candidates before the peak stay negative).
    em_dtype          arithmetic of the fit and of the densities, "float64" or "float32".
    """

    scope = "candidates"

    empty_foreground: str = checked(choice, "all", choices=("all", "none"))
    single: str = checked(choice, "positive", choices=("positive", "negative"))
    pos_peak: str = checked(choice, "list", choices=("list", "subset"))
    em_dtype: str = checked(choice, "float64", choices=tuple(DTYPES))

    @abstractmethod
    def separate(self, fitted: Fitted) -> Tensor:
        """Labels [N, M] int8 of the ranked candidates (see `write`)."""

    @torch.no_grad()
    def __call__(self, scores: Tensor, valid: Tensor, progress: float = 0.0) -> Tensor:
        """Labels [N, M] int8 of ranked candidates; `progress` plays no part."""
        if not scores.numel():
            return torch.zeros_like(valid, dtype=torch.int8)
        fitted = self.fitted(scores, valid)
        labels = self.separate(fitted)
        labels = labels.masked_fill(fitted.pos_peak < 0, POSITIVE if self.empty_foreground == "all" else NEGATIVE)
        only = valid.sum(1, keepdim=True) == 1
        labels = labels.masked_fill(only, POSITIVE if self.single == "positive" else NEGATIVE)
        return labels.masked_fill(~valid, NEGATIVE)

    @torch.no_grad()
    def fitted(self, scores: Tensor, valid: Tensor) -> Fitted:
        """The mixtures of ranked candidates [N, M] (M at least 1), and where their peaks are."""
        mixture = fit(scores, valid, dtype=DTYPES[self.em_dtype])
        joint = log_joint(mixture, scores)
        first = joint[..., 0] >= joint[..., 1]
        foreground, background = valid & first, valid & ~first
        density = joint.logsumexp(-1)
        pos_peak, neg_peak = _peak(density, foreground), _peak(density, background)
        rank = torch.arange(scores.shape[1], device=scores.device).unsqueeze(0)
        to_peak = rank <= pos_peak
        if self.pos_peak == "subset":
            to_peak = to_peak & foreground
        return Fitted(scores, valid, rank, foreground, background, density, pos_peak, neg_peak, to_peak, mixture)


def _peak(density: Tensor, members: Tensor) -> Tensor:
    """Rank [N, 1] of the greatest density among `members`, the earliest of equals; -1 where there are none."""
    rank = density.masked_fill(~members, -math.inf).argmax(1, keepdim=True)
    return rank.masked_fill(~members.any(1, keepdim=True), -1)


class A(MixtureBoundary):
    """Figure 3 (a): positive where the posterior of component 0 is at least that of component 1; none ignored."""

    def separate(self, fitted: Fitted) -> Tensor:
        """See the class."""
        return write(fitted.foreground)


class B(MixtureBoundary):
    """Figure 3 (b): positive up to pos_peak, negative from neg_peak on, ignored between the two peaks.

    Where the peaks are the other way round, or component 1 is empty, nothing is ignored.
    """

    def separate(self, fitted: Fitted) -> Tensor:
        """See the class."""
        between = (fitted.rank > fitted.pos_peak) & (fitted.rank < fitted.neg_peak)
        return write(fitted.to_peak, ignored=between)


class B2020(MixtureBoundary):
    """Boundary (b) as the authors' code ran it until 2020-08-06, which made the first published numbers.

    Its slice counted from the wrong end: the last neg_peak + 1 candidates are negative (`inds[-neg_peak-1:]`) where
    those from neg_peak on were meant, and what lies between pos_peak and these is ignored. Where component 1 is empty
    nothing is ignored.
    """

    def separate(self, fitted: Fitted) -> Tensor:
        """See the class."""
        start = fitted.valid.sum(1, keepdim=True) - fitted.neg_peak - 1
        between = (fitted.rank > fitted.pos_peak) & (fitted.rank < start) & (fitted.neg_peak >= 0)
        return write(fitted.to_peak, ignored=between)


class C(MixtureBoundary):
    """Figure 3 (c), the authors' final choice: positive up to pos_peak, negative after it; none ignored."""

    def separate(self, fitted: Fitted) -> Tensor:
        """See the class."""
        return write(fitted.to_peak)


class D(MixtureBoundary):
    """Figure 3 (d): positive up to pos_peak; after it ignored where the posterior says component 0, else negative."""

    def separate(self, fitted: Fitted) -> Tensor:
        """See the class."""
        return write(fitted.to_peak, negative=fitted.background, ignored=fitted.foreground)


@dataclass(eq=False)
class FNP(Checked):
    """A fixed number of positives (paper, section 4.2): the n best candidates, or all where there are fewer.

    n      from 1 to 1000, at the start of training.
    n_end  at its end; between them n changes linearly with progress and is rounded to the nearest integer, halves up
           (the linearly shrinking bag of Multiple Anchor Learning). None: n throughout.
    """

    scope = "candidates"

    n: int = checked(integer, 3, low=1, high=1000)
    n_end: int | None = checked(integer, None, low=1, high=1000)

    def number(self, progress: float) -> int:
        """Positives of a ground truth at `progress` in [0, 1] of training."""
        end = self.n if self.n_end is None else self.n_end
        return max(1, math.floor(self.n + (end - self.n) * progress + 0.5))

    def __call__(self, scores: Tensor, valid: Tensor, progress: float = 0.0) -> Tensor:
        """Labels [N, M] int8 of ranked candidates."""
        rank = torch.arange(scores.shape[1], device=scores.device)
        return write(valid & (rank < self.number(progress)))


@dataclass(eq=False)
class FSR(Checked):
    """A fixed range of scores (paper, section 4.2): positive where S = exp(-score) > t; a ground truth may get none.

    t     above 0, below 1; compared with exp(-score) in the scores' own precision.
    over  "anchors": all anchors of the ground truth (paper), or "candidates": those selected for the mixture.
    """

    t: float = checked(number, 0.3, above=0, below=1)
    over: str = checked(choice, "anchors", choices=("anchors", "candidates"))

    @property
    def scope(self) -> str:
        """What the rule wants to see: as `over`."""
        return self.over

    def __call__(self, scores: Tensor, valid: Tensor, progress: float = 0.0) -> Tensor:
        """Labels int8 of the shape of `scores`; any shape and order will do, since each anchor stands for itself."""
        return write(valid & (torch.exp(-scores) > self.t))
