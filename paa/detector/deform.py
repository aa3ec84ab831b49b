"""Modulated deformable convolution (Zhu et al. 2019, Deformable ConvNets v2) on torchvision's operator."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from paa import checks

STARTS = ("random", "zero")


class DeformConv2d(nn.Conv2d):
    """A convolution that samples where a second one, `offset`, says, each sample weighted by a mask in (0, 1).

    Arguments are nn.Conv2d's, with an odd kernel; `padding` k // 2 keeps the grid centered. `offset` has a bias, the
    same kernel, stride and padding, and 3 k^2 channels: first (dy, dx) of each kernel position, row-major, in pixels of
    the input, then the logits of the mask. One group of offsets serves all channels (authors' code). Samples outside of
    the map are zero, between its cells bilinear.

    `offset` starts with bias 0, and kaiming-uniform (a = 1) for start="random", as in the authors' code, or at zero for
    start="zero" (MMDetection): at first it then is half the plain convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int = 1,
        groups: int = 1,
        bias: bool = False,
        start: str = "random",
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=bias)
        if checks.integer("kernel_size", kernel_size, low=1) % 2 == 0:
            raise checks.OutOfRange("kernel_size", f"={kernel_size}: must be odd")
        self.samples = kernel_size**2
        self.offset = nn.Conv2d(in_channels, 3 * self.samples, kernel_size, stride, padding)
        self.start = checks.choice("start", start, STARTS)
        if start == "random":
            nn.init.kaiming_uniform_(self.offset.weight, a=1)
        else:
            nn.init.zeros_(self.offset.weight)
        assert self.offset.bias is not None
        nn.init.zeros_(self.offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, h, w], h and w as of an nn.Conv2d."""
        moved = self.offset(x)
        shifts, mask = moved[:, : 2 * self.samples], moved[:, 2 * self.samples :].sigmoid()
        return deform_conv2d(x, shifts, self.weight, self.bias, self.stride, self.padding, mask=mask)


def deformable(conv: nn.Conv2d, start: str = "random") -> DeformConv2d:
    """Return a deformable convolution with the form, weight and bias of `conv`; its offsets are new."""
    size, stride, padding, bias = conv.kernel_size[0], conv.stride[0], int(conv.padding[0]), conv.bias is not None
    out = DeformConv2d(conv.in_channels, conv.out_channels, size, stride, padding, conv.groups, bias, start)
    out.weight, out.bias = conv.weight, conv.bias
    return out
