"""Explain why two exact implementations may label the candidates of a ground truth differently."""

from __future__ import annotations

import torch

from paa.assign.boundary import MixtureBoundary
from paa.assign.mixture import log_joint
from paa.boxes import centers
from paa.experiment.parts import Components
from paa.structures import Anchors, Assignment, Targets

LEAST = 1e-6
"""Log densities closer than this are ordered by the rounding of a float64 fit with collapsed variances."""


def tie_of(
    rule: MixtureBoundary, scores: torch.Tensor, valid: torch.Tensor, least: float = LEAST, equal: bool = False
) -> str | None:
    """Return what ties among one set of ascending scores [1, M]; None if nothing does.

    equal  whether equal scores count, of which some implementations take the earliest and others any.
    """
    fitted = rule.fitted(scores, valid)
    lead = float(log_joint(fitted.mixture, scores)[valid].diff(dim=1).abs().min())
    if lead < least:
        return f"the posteriors of a candidate tie to {lead:.1e}"
    for members in (fitted.foreground, fitted.background):
        peak = _peak(fitted.density, members)
        others = fitted.rank != peak if equal else fitted.scores != fitted.scores.gather(1, peak)
        best = fitted.density[members & others]
        if members.any() and best.numel():
            gap = float(fitted.density[members].max() - best.max())
            if gap < least:
                return f"the densities of two candidates tie to {gap:.1e}"
    return None


def tie(built: Components, assignment: Assignment, image: int, gt: int) -> str | None:
    """Return what ties among the candidates of one ground truth of a PAA assignment."""
    rule = built.assigner.boundary
    assert isinstance(rule, MixtureBoundary)
    valid = assignment.extras["candidate_valid"][image, gt]
    scores = assignment.extras["candidate_scores"][image, gt][valid][None]
    return tie_of(rule, scores, torch.ones_like(scores, dtype=torch.bool))


def rounding(built: Components, assignment: Assignment, image: int, gt: int, positive: torch.Tensor) -> str | None:
    """Explain the labels `positive` by scores that differ from ours in the last digits; None if they do not.

    positive [M] bool, of the GT's candidates, best first, as another implementation labels them.
    """
    valid = assignment.extras["candidate_valid"][image, gt]
    scores, draw = assignment.extras["candidate_scores"][image, gt][valid], torch.Generator().manual_seed(0)
    moved = scores * (1 + 3e-7 * torch.randn(64, len(scores), generator=draw).clamp(-2, 2))
    ascending, order = moved.sort(dim=1, stable=True)
    labels = built.assigner.boundary(ascending, torch.ones_like(ascending, dtype=torch.bool), 0.0) == 1
    same = (labels.gather(1, order.argsort(1)) == positive).all(1)
    return f"of scores moved by 3e-7 of themselves {same.double().mean():.0%} give theirs" if same.any() else None


def equally_far(anchors: Anchors, targets: Targets, topk: int) -> torch.Tensor:
    """Return whether the `topk`-th and the next anchor of a level are equally far from a ground truth, bool [B, G].

    Then which of them is a candidate of ATSS is any implementation's own choice.
    """
    gap = centers(targets.boxes).double().unsqueeze(2) - centers(anchors.boxes).double()
    distance = gap.norm(dim=-1).masked_fill(~anchors.inside.unsqueeze(1), torch.inf)
    tied = torch.zeros(distance.shape[:2], dtype=torch.bool)
    for level in distance.split(anchors.counts, -1):
        if level.shape[-1] > topk:
            nearest = level.sort(dim=-1).values
            tied |= nearest[..., topk] - nearest[..., topk - 1] < LEAST * nearest[..., topk - 1]
    return tied


def _peak(density: torch.Tensor, members: torch.Tensor) -> torch.Tensor:
    return density.masked_fill(~members, -torch.inf).argmax(1, keepdim=True)
