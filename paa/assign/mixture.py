"""Two-component Gaussian mixtures of one variable, fitted by EM to many score sets together.

Paper, section 3.1 (Eq. 4) and Procedure 1: the candidates' scores of each ground truth are modeled by a mixture of
two Gaussians, one for the good anchors (component 0) and one for the bad (component 1). The authors' code and
MMDetection fit one scikit-learn `GaussianMixture` a ground truth, on the CPU; here all ground truths of a batch are
one tensor problem on the device, with the same start, steps and stopping rule.

Legend: N score sets (ground truths), M candidates of the largest set.

Inside, sets are columns and candidates are rows, padded to whole blocks of each. Kernels then never meet a ragged end
that they treat by other instructions, so a column's numbers depend only on that column, not on where it stands: on
the CPU, finished columns can be dropped on the way without changing a bit of the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

COLUMNS = 64
"""Sets are padded to a multiple of this: the widest stretch that a CPU kernel takes in one step."""

ROWS = 16
"""Candidates are padded to a multiple of this; a product of so many numbers from [1/2, 1] is exact enough and > 0."""

EMPTY = 10 * torch.finfo(torch.float64).eps
"""Added to each component's mass, so that an empty one divides by more than zero (as scikit-learn does)."""

LIMIT = {torch.float64: 1e100, torch.float32: 1e14}
"""Scores beyond this (or not finite) are taken as this: its square, over the least variance, is still finite."""


@dataclass(frozen=True)
class Mixture:
    """N fitted mixtures; component 0 is the one started at the least score.

    means, variances, weights [N, 2] in the dtype of the fit, always finite; iterations [N] int64 (steps until the
    set's own convergence); converged [N] bool, false where `max_iter` steps were not enough.
    """

    means: Tensor
    variances: Tensor
    weights: Tensor
    iterations: Tensor
    converged: Tensor


@torch.no_grad()
def fit(
    scores: Tensor,
    valid: Tensor,
    *,
    dtype: torch.dtype = torch.float64,
    tol: float = 1e-3,
    max_iter: int = 100,
    reg_covar: float = 1e-6,
    early_exit: bool | None = None,
) -> Mixture:
    """Fits a mixture to each row of `scores` [N, M] where `valid` [N, M] bool; what is not valid is never read.

    Semantics of scikit-learn's GaussianMixture(2) with means started at the least and greatest score, unit precisions
    and equal weights: E-step, M-step, stop when the mean log-likelihood of the E-step moves by less than `tol` (so
    after two steps at least), keep the last M-step. Each set stops on its own. Sets of no or one score, equal scores
    and scores that are not finite give finite parameters.

    `early_exit` stops the loop when every set has stopped and drops finished sets on the way; it changes no result.
    None: on the CPU only, since elsewhere reading the flag would make the host wait for the device.
    """
    if dtype not in LIMIT:
        raise ValueError(f"dtype={dtype}: must be torch.float64 or torch.float32")
    if max_iter < 1:
        raise ValueError(f"max_iter={max_iter}: must be from 1")
    leave = scores.device.type == "cpu" if early_exit is None else early_exit
    columns = _Columns(scores, valid, dtype, reg_covar)
    for _ in range(max_iter):
        columns.step(tol)
        if leave:
            left = int(columns.active.sum())
            if left == 0:
                break
            columns.drop_finished(left)
    parameters, iterations, active = columns.finish()
    means, variances, weights = parameters[:, :, 0, : len(scores)].transpose(1, 2).unbind(0)
    return Mixture(means, variances, weights, iterations[: len(scores)], ~active[: len(scores)])


def log_joint(mixture: Mixture, scores: Tensor) -> Tensor:
    """Log of weight times Gaussian density of `scores` [N, M] under each component: [N, M, 2], always finite.

    Its argmax over the last axis (ties to component 0) is the posterior's choice, its logsumexp the log density.
    """
    x = _tame(scores, mixture.means.dtype).unsqueeze(-1)
    offset = mixture.weights.log() - 0.5 * (mixture.variances.log() + math.log(2 * math.pi))
    distance = (x - mixture.means.unsqueeze(1)).square()
    return offset.unsqueeze(1) - 0.5 * distance / mixture.variances.unsqueeze(1)


def _tame(scores: Tensor, dtype: torch.dtype) -> Tensor:
    limit = LIMIT[dtype]
    return torch.nan_to_num(scores.to(dtype), nan=limit, posinf=limit, neginf=-limit).clamp(-limit, limit)


class _Columns:
    """EM on the columns of a padded table: x, mask [rows, n]; mean, variance, weight [2, 1, n]."""

    def __init__(self, scores: Tensor, valid: Tensor, dtype: torch.dtype, reg_covar: float) -> None:
        sets, most = scores.shape
        rows, n = -(-most // ROWS) * ROWS, -(-sets // COLUMNS) * COLUMNS
        self.reg_covar = reg_covar
        self.x = torch.zeros(rows, n, dtype=dtype, device=scores.device)
        self.mask = torch.zeros_like(self.x)
        self.x[:most, :sets] = _tame(scores, dtype).masked_fill(~valid, 0).t()
        self.mask[:most, :sets] = valid.t()
        self.active = torch.ones(n, dtype=torch.bool, device=scores.device)
        self.iterations = torch.zeros(n, dtype=torch.int64, device=scores.device)
        self.bound = torch.full((n,), -math.inf, dtype=dtype, device=scores.device)
        self.mean = self._extremes()
        self.variance, self.weight = torch.ones_like(self.mean), torch.full_like(self.mean, 0.5)
        self.kept = torch.stack((self.mean, self.variance, self.weight))
        self.places: Tensor | None = None
        self.finished = (self.kept, self.iterations, self.active)
        self._prepare()

    def _extremes(self) -> Tensor:
        """The least and the greatest score of each column, [2, 1, n]; 0 where it has none."""
        if not len(self.x):
            return self.x.new_zeros(2, 1, self.x.shape[1])
        outside = self.mask == 0
        least = self.x.masked_fill(outside, math.inf).amin(0)
        greatest = self.x.masked_fill(outside, -math.inf).amax(0)
        extremes = torch.stack((least, greatest)).unsqueeze(1)
        return extremes.masked_fill_(extremes.isinf(), 0)

    def _prepare(self) -> None:
        """What follows from x, mask and the current parameters, and the work space."""
        self.pad = 1 - self.mask
        self.count = self.mask.sum(0).clamp_(min=1)
        self.square = (self.x - self.mean).square_()
        self.share, self.product = torch.empty_like(self.square), torch.empty_like(self.square)
        self.top, self.norm = torch.empty_like(self.x), torch.empty_like(self.x)

    def step(self, tol: float) -> None:
        """One E-step and M-step; columns that have stopped keep what they had."""
        bound = self._expectation()
        self._maximization()
        self.kept = torch.where(self.active, torch.stack((self.mean, self.variance, self.weight)), self.kept)
        self.iterations = self.iterations + self.active
        self.active = self.active & ((bound - self.bound).abs_() >= tol)
        self.bound = bound

    def _expectation(self) -> Tensor:
        """Fills `share` [2, rows, n] with the posteriors, 0 in the padding; returns the mean log-likelihood [n].

        Without the constant log(2 pi) / 2, which cancels both in the posteriors and in the bound's change. The sum of
        the log normalizers is taken as the log of their product, block by block: far fewer logarithms.
        """
        offset = self.weight.log().sub_(self.variance.log(), alpha=0.5)
        torch.addcmul(offset, self.variance.reciprocal().mul_(-0.5), self.square, out=self.share)
        first, second = self.share.unbind(0)
        torch.maximum(first, second, out=self.top)
        self.share.sub_(self.top).exp_()
        torch.div(self.mask, torch.add(first, second, out=self.norm), out=self.norm)
        self.share.mul_(self.norm)
        likelihood = self.top.mul_(self.mask).sum(0)
        rows, n = self.norm.shape
        blocks = self.norm.add_(self.pad).view(rows // ROWS, ROWS, n)
        return likelihood.sub_(blocks.prod(1).log_().sum(0)).div_(self.count)

    def _maximization(self) -> None:
        """Moments of the posteriors; the squares are kept, since the next E-step is in the same distances."""
        mass = self.share.sum(1, keepdim=True).add_(EMPTY)
        self.weight = mass / mass.sum(0)
        self.mean = torch.mul(self.share, self.x, out=self.product).sum(1, keepdim=True).div_(mass)
        torch.sub(self.x, self.mean, out=self.square).square_()
        self.variance = self.share.mul_(self.square).sum(1, keepdim=True).div_(mass).add_(self.reg_covar)

    def drop_finished(self, left: int) -> None:
        """Narrows the table to the `left` active columns, filled up to a whole block, where that is worth the copy."""
        width = -(-left // COLUMNS) * COLUMNS
        if 4 * width > 3 * len(self.active):
            return
        self.finished = self.finish()
        keep = self.active.to(torch.int8).argsort(descending=True, stable=True)[:width]
        self.places = keep if self.places is None else self.places[keep]
        self.x, self.mask = self.x.index_select(1, keep), self.mask.index_select(1, keep)
        self.mean, self.variance = self.mean.index_select(2, keep), self.variance.index_select(2, keep)
        self.weight, self.kept = self.weight.index_select(2, keep), self.kept.index_select(3, keep)
        self.active, self.iterations, self.bound = self.active[keep], self.iterations[keep], self.bound[keep]
        self._prepare()

    def finish(self) -> tuple[Tensor, Tensor, Tensor]:
        """Parameters [3, 2, 1, n], iterations [n] and whether still active [n], of all columns."""
        if self.places is None:
            return self.kept, self.iterations, self.active
        parameters, iterations, active = self.finished
        parameters[..., self.places] = self.kept
        iterations[self.places] = self.iterations
        active[self.places] = self.active
        return self.finished
