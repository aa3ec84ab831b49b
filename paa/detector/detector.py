"""The module that joins backbone, pyramid and head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from paa import checks
from paa.structures import Predictions

STRIDE = 32
"""Images are padded to multiples of this, the stride of C5, so that the pyramid's top-down sums fit."""


class Detector(nn.Module):
    """RetinaNet with one anchor per location, as FCOS, ATSS and PAA use it (paper, figure 5).

    backbone       gives C3-C5; its `mean`, `std`, `order`, `scale` describe the images that it expects.
    fpn            C3-C5 -> P3-P7.
    head           P3-P7 -> Predictions.
    channels_last  memory layout of weights and maps; changes speed, and sums in their last digits.
    """

    def __init__(self, backbone: nn.Module, fpn: nn.Module, head: nn.Module, channels_last: bool = True) -> None:
        super().__init__()
        self.backbone, self.fpn, self.head = backbone, fpn, head
        self.channels_last = checks.flag("channels_last", channels_last)
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[Predictions, tuple[tuple[int, int], ...]]:
        """Images [B, 3, H, W], H and W multiples of 32 -> predictions, and (rows, columns) of each level.

        ValueError when H or W is not a multiple of 32.
        """
        height, width = images.shape[-2:]
        if height % STRIDE or width % STRIDE:
            raise ValueError(f"images of {height} x {width} pixels: pad both sides to multiples of {STRIDE}")
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        pyramid = self.fpn(self.backbone(images))
        return self.head(pyramid), tuple((level.shape[-2], level.shape[-1]) for level in pyramid)
