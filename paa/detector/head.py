"""The head: two towers over every pyramid level, with an optional branch that predicts localisation quality."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from paa import checks
from paa.detector.deform import STARTS, DeformConv2d
from paa.detector.norm import group_norm
from paa.structures import Predictions


def tower(
    channels: int, depth: int, groups: int, bias: bool, dcn: bool = False, dcn_init: str = "random"
) -> nn.Sequential:
    """`depth` times 3x3 convolution, GroupNorm, ReLU; with `dcn` the last convolution is deformable."""
    layers: list[nn.Module] = []
    for i in range(depth):
        if dcn and i == depth - 1:
            layers.append(DeformConv2d(channels, channels, 3, padding=1, bias=bias, start=dcn_init))
        else:
            layers.append(nn.Conv2d(channels, channels, 3, padding=1, bias=bias))
        layers.append(group_norm(channels, groups))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class Head(nn.Module):
    """Class logits, box deltas and, with `auxiliary`, one quality logit for the one anchor of every location.

    channels     width of the pyramid and of both towers.
    classes      C.
    depth        convolutions a tower; 4 in the paper.
    norm_groups  most groups of a GroupNorm: 32 at 256 channels, fewer in a narrower head (`norm.group_count`).
    tower_bias   whether the towers' convolutions have a bias (authors' code; MMDetection's have none).
    auxiliary    adds `iou_pred`, one 3x3 convolution on the regression tower (paper, section 3.2); whether it
                 predicts the IoU or the centerness is up to the loss.
    prior        class probability at the start (Lin et al. 2017, focal loss): sets the bias of `cls_logits`.
    dcn          makes the last convolution of both towers deformable (paper's DCN variants).
    dcn_init     its offsets start "random", N(0, 0.01) (authors' code), or at "zero" (MMDetection).
    levels       pyramid levels; all share the weights, but each has its own scalar on the deltas.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        depth: int = 4,
        norm_groups: int = 32,
        tower_bias: bool = True,
        auxiliary: bool = True,
        prior: float = 0.01,
        dcn: bool = False,
        levels: int = 5,
        dcn_init: str = "random",
    ) -> None:
        super().__init__()
        self.channels = checks.integer("channels", channels, low=1)
        self.classes = checks.integer("classes", classes, low=1)
        checks.integer("depth", depth, low=0)
        checks.integer("norm_groups", norm_groups, low=1)
        checks.flag("tower_bias", tower_bias)
        checks.flag("auxiliary", auxiliary)
        self.prior = checks.number("prior", prior, above=0, below=1)
        self.levels = checks.integer("levels", levels, low=1)
        if checks.flag("dcn", dcn) and depth == 0:
            raise checks.OutOfRange("dcn", "=True: a tower without convolutions (depth=0) has none to deform")
        checks.choice("dcn_init", dcn_init, STARTS)
        self.cls_tower = tower(channels, depth, norm_groups, tower_bias, dcn, dcn_init)
        self.bbox_tower = tower(channels, depth, norm_groups, tower_bias, dcn, dcn_init)
        self.cls_logits = nn.Conv2d(channels, classes, 3, padding=1)
        self.bbox_pred = nn.Conv2d(channels, 4, 3, padding=1)
        self.iou_pred = nn.Conv2d(channels, 1, 3, padding=1) if auxiliary else None
        self.scales = nn.Parameter(torch.ones(levels))
        self.reset()

    def reset(self) -> None:
        """Initialize convolutions with N(0, 0.01) and bias 0, except the class bias (`prior`); scalars with 1.

        Of a deformable one this is its offset convolution, if that is not to start at zero; its own weight keeps
        torch's uniform start (authors' code).
        """
        still = {m.offset for m in self.modules() if isinstance(m, DeformConv2d) and m.start == "zero"}
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if not isinstance(module, DeformConv2d) and module not in still:
                    nn.init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        assert self.cls_logits.bias is not None
        nn.init.constant_(self.cls_logits.bias, -math.log((1 - self.prior) / self.prior))
        nn.init.ones_(self.scales)

    def forward(self, pyramid: Sequence[Tensor]) -> Predictions:
        """Levels [B, channels, h, w], fine to coarse -> Predictions over A = sum of h * w anchors.

        Anchors are in the order of the levels, each level row-major: y, then x.
        """
        if len(pyramid) != self.levels:
            raise ValueError(f"the head was built for {self.levels} levels and got {len(pyramid)}")
        logits, deltas, quality = [], [], []
        for level, x in enumerate(pyramid):
            boxes = self.bbox_tower(x)
            logits.append(flatten(self.cls_logits(self.cls_tower(x))))
            deltas.append(flatten(self.bbox_pred(boxes)) * self.scales[level])
            if self.iou_pred is not None:
                quality.append(flatten(self.iou_pred(boxes)).squeeze(-1))
        return Predictions(torch.cat(logits, 1), torch.cat(deltas, 1), torch.cat(quality, 1) if quality else None)


def flatten(x: Tensor) -> Tensor:
    """[B, C, h, w] -> [B, h * w, C], row-major."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)
