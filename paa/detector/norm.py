"""Normalization layers: BatchNorm in its three degrees of freedom, and group normalization for any width."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from paa import checks

NORMS = ("frozen", "statistics", "batch", "group")


def norm_layer(norm: str, eps: float = 1e-5, momentum: float = 0.1) -> Callable[[int], nn.Module]:
    """Return a function from a number of channels to a layer of kind `norm`; eps and momentum are BatchNorm's.

    "statistics" is a BatchNorm, too: that its statistics stay is up to the module that holds it (`Pretrained.train`).
    """
    checks.choice("norm", norm, NORMS)
    if norm == "group":
        return group_norm
    if norm == "frozen":
        return partial(FrozenBatchNorm2d, eps=eps)
    return partial(nn.BatchNorm2d, eps=eps, momentum=momentum)


def group_count(channels: int, groups: int = 32) -> int:
    """Return the largest divisor of `channels` that is at most `groups` and leaves 8 channels or more per group.

    At the paper's width of 256 this is 32 (groups of 8 channels). Narrower layers keep groups of about 8 channels
    rather than 32 groups: statistics over one or two channels of a 1 x 1 level would be those of single values.
    """
    checks.integer("channels", channels, low=1)
    checks.integer("groups", groups, low=1)
    most = min(groups, max(1, channels // 8))
    return next(n for n in range(most, 0, -1) if channels % n == 0)


def group_norm(channels: int, groups: int = 32) -> nn.GroupNorm:
    """Return GroupNorm over `channels` in `group_count(channels, groups)` groups."""
    return nn.GroupNorm(group_count(channels, groups), channels)
