"""Feature pyramid P3-P7 (Lin et al. 2017; P6 and P7 as in RetinaNet, but P6 from P5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paa import checks

INITS = ("kaiming", "xavier")


class FPN(nn.Module):
    """C3-C5 -> P3-P7 of `channels` channels, strides 8, 16, 32, 64, 128.

    in_channels  channels of C3, C4, C5.
    p7_relu      ReLU before the convolution that makes P7 (authors' code; MMDetection has none).
    init         "kaiming": uniform with a = 1 (authors' code); "xavier": uniform (MMDetection). Biases start at 0.
    """

    strides = (8, 16, 32, 64, 128)

    def __init__(
        self, in_channels: Sequence[int], channels: int = 256, p7_relu: bool = True, init: str = "kaiming"
    ) -> None:
        super().__init__()
        if len(in_channels) != 3:
            raise checks.OutOfRange("in_channels", f"={list(in_channels)}: must be three numbers, for C3 to C5")
        for i, width in enumerate(in_channels):
            checks.integer(f"in_channels[{i}]", width, low=1)
        self.channels = checks.integer("channels", channels, low=1)
        self.p7_relu = checks.flag("p7_relu", p7_relu)
        self.init = checks.choice("init", init, INITS)
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in in_channels)
        self.output = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels)
        self.p6 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.reset()

    def reset(self) -> None:
        """Initialize the convolutions by `init`."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if self.init == "kaiming":
                    nn.init.kaiming_uniform_(module.weight, a=1)
                else:
                    nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """C3, C4, C5 -> P3 ... P7; P6 and P7 have ceil(half) the rows and columns of the level before."""
        lateral = [conv(x) for conv, x in zip(self.lateral, features, strict=True)]
        for i in (1, 0):
            lateral[i] = lateral[i] + F.interpolate(lateral[i + 1], size=lateral[i].shape[-2:], mode="nearest")
        p3, p4, p5 = (conv(x) for conv, x in zip(self.output, lateral, strict=True))
        p6 = _halved(self.p6, p5)
        p7 = _halved(self.p7, F.relu(p6) if self.p7_relu else p6)
        return p3, p4, p5, p6, p7


def _halved(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """`conv` of stride 2, in float32 where a CPU would compute a map of one column in bfloat16.

    oneDNN's gradient of the weights then reads memory that nobody has written, and is NaN now and then (torch 2.14).
    """
    if x.device.type == "cpu" and x.shape[-1] == 1:
        with torch.autocast("cpu", enabled=False):
            return conv(x.float())
    return conv(x)
