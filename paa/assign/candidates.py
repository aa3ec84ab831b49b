"""Candidates: the anchors of a ground truth among which the boundary decides (Procedure 1, lines 5 to 12).

One sort over all anchors of a batch brings those of a group (a GT, or a level of a GT) together in ascending score;
the best K of each group are then a slice of it. Nothing of size B x G x A is made for the top K.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from paa.structures import IGNORED, NEGATIVE


@dataclass(frozen=True)
class Candidates:
    """Candidates of every GT, best first.

    index   [B, G, M] int64, anchor; 0 where not valid.
    scores  [B, G, M] float32 ascending; +inf where not valid. Of equal scores the lower anchor comes first.
    valid   [B, G, M] bool; the valid ones come first.
    """

    index: Tensor
    scores: Tensor
    valid: Tensor


def order_key(values: Tensor) -> Tensor:
    """Integers in [-2^31, 2^31), int64, that have the order of `values` (float32, no NaN); -0 and 0 are equal."""
    bits = (values + 0.0).view(torch.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long()


def _best_of_groups(scores: Tensor, group: Tensor, groups: int, most: int) -> Candidates:
    """The `most` lowest scores [B, A] of each group; group [B, A] int64 is in [0, groups), or `groups` for none.

    Stable, so that equal scores stay in the order of the anchors.
    """
    key, order = (group * 2**32 + order_key(scores)).sort(dim=1, stable=True)
    bounds = torch.arange(groups + 1, device=key.device) * 2**32 - 2**31  # the least key that each group can have
    ends = torch.searchsorted(key, bounds.expand(len(key), -1).contiguous())
    place = ends[:, :-1, None] + torch.arange(most, device=key.device)
    valid = place < ends[:, 1:, None]
    index = order.gather(1, place.where(valid, 0).flatten(1)).view_as(place)
    found = scores.gather(1, index.flatten(1)).view_as(place)
    return Candidates(index.where(valid, 0), found.where(valid, torch.inf), valid)


def best_per_level(scores: Tensor, gt: Tensor, level: Tensor, topk: int, num_gts: int, num_levels: int) -> Candidates:
    """For every GT the `topk` anchors of lowest score on each level; M = num_levels * topk.

    scores [B, A] float32, gt [B, A] int64 (negative: belongs to none), level [A] int64.
    """
    none = num_gts * num_levels
    group = (gt * num_levels + level).where(gt >= 0, none)
    found = _best_of_groups(scores, group, none, topk)
    shape = (len(scores), num_gts, num_levels * topk)
    # levels ascend with the anchors, so a stable sort keeps the lower anchor first among equals
    ascending, order = found.scores.view(shape).sort(dim=-1, stable=True)
    return Candidates(found.index.view(shape).gather(2, order), ascending, found.valid.view(shape).gather(2, order))


def all_of_each(scores: Tensor, gt: Tensor, num_gts: int) -> Candidates:
    """All anchors of every GT, ascending; M = A. Arguments as in `best_per_level`."""
    return _best_of_groups(scores, gt.where(gt >= 0, num_gts), num_gts, scores.shape[1])


def to_gt_index(labels: Tensor, candidates: Candidates, num_anchors: int) -> Tensor:
    """Labels of candidates [B, G, M] (1 positive, 0 negative, -1 ignored) as `Assignment.gt_index` [B, A].

    What is nobody's candidate is NEGATIVE.
    """
    batch, num_gts = labels.shape[:2]
    gt = torch.arange(num_gts, device=labels.device).view(1, -1, 1)
    value = torch.where(labels > 0, gt, torch.where(labels < 0, IGNORED, NEGATIVE))
    index = candidates.index.where(candidates.valid, num_anchors)  # the rest lands in a column that is dropped
    gt_index = torch.full((batch, num_anchors + 1), NEGATIVE, device=labels.device)
    return gt_index.scatter_(1, index.flatten(1), value.flatten(1))[:, :num_anchors].contiguous()
