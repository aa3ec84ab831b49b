"""A small GroupNorm residual network, trained from scratch in minutes on one CPU core."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from paa import checks
from paa.detector.norm import group_norm

STEMS = ("conv7", "two_convs")


class Block(nn.Module):
    """Two 3x3 convolutions with GroupNorm and a shortcut (He et al. 2016, basic block); the first may halve the map."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, groups: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = group_norm(outputs, groups)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = group_norm(outputs, groups)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), group_norm(outputs, groups)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, ceil(H / stride), ceil(W / stride)]."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x), inplace=True)


class Tiny(nn.Module):
    """Stem to stride 4, then one stage of residual blocks for each of C2 (stride 4) to C5 (stride 32).

    widths       channels of C2-C5; the stem has those of C2.
    depths       residual blocks in C2-C5; C2 may have 0, C3-C5 have at least 1 (it halves the map).
    stem         "conv7": one 7x7 convolution of stride 4; "two_convs": two 3x3 convolutions of stride 2, the first at
                 a quarter of C2's width (maps at stride 2 are large: GroupNorm there costs more than the convolution).
    norm_groups  most groups of a GroupNorm (`paa.detector.norm.group_count`).

    The input convention: RGB in [0, 1], less `mean`, over `std`.
    """

    strides = (8, 16, 32)
    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)
    order = "rgb"
    scale = 1

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 96, 128),
        depths: Sequence[int] = (1, 1, 1, 1),
        stem: str = "two_convs",
        norm_groups: int = 32,
    ) -> None:
        super().__init__()
        for name, values in (("widths", widths), ("depths", depths)):
            checks.sequence(name, values, "four numbers, for C2 to C5", 4)
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            checks.integer(f"widths[{i}]", width, low=1)
            checks.integer(f"depths[{i}]", depth, low=0 if i == 0 else 1)
        checks.choice("stem", stem, STEMS)
        checks.integer("norm_groups", norm_groups, low=1)
        self.out_channels = tuple(widths[1:])
        first = widths[0]
        if stem == "conv7":
            self.stem = nn.Sequential(
                nn.Conv2d(3, first, 7, 4, 3, bias=False), group_norm(first, norm_groups), nn.ReLU(inplace=True)
            )
        else:
            quarter = max(1, first // 4)
            self.stem = nn.Sequential(
                nn.Conv2d(3, quarter, 3, 2, 1, bias=False),
                group_norm(quarter, norm_groups),
                nn.ReLU(inplace=True),
                nn.Conv2d(quarter, first, 3, 2, 1, bias=False),
                group_norm(first, norm_groups),
                nn.ReLU(inplace=True),
            )
        self.stages = nn.ModuleList()
        inputs = first
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks = []
            for j in range(depth):
                blocks.append(Block(inputs, width, 2 if i > 0 and j == 0 else 1, norm_groups))
                inputs = width
            self.stages.append(nn.Sequential(*blocks))
        self.reset()

    def reset(self) -> None:
        """He-normal convolutions; the last GroupNorm of each block starts at 0: a block starts as its shortcut."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for module in self.modules():
            if isinstance(module, Block):
                nn.init.zeros_(module.norm2.weight)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """[B, 3, H, W] -> C3, C4, C5, each [B, out_channels[i], H / stride, W / stride]."""
        x = self.stem(images)
        outputs = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i > 0:
                outputs.append(x)
        return tuple(outputs)
