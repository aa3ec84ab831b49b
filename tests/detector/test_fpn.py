from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from paa.checks import OutOfRange
from paa.detector.fpn import FPN


@pytest.mark.parametrize(
    ("height", "width", "small"),
    [(160, 192, [(3, 3), (2, 2)]), (800, 1344, [(13, 21), (7, 11)]), (32, 32, [(1, 1), (1, 1)])],
)
def test_shapes(height: int, width: int, small: list[tuple[int, int]]) -> None:
    """P6 and P7 have ceil(half) the rows and columns of the level before."""
    fpn = FPN((4, 6, 8), channels=8)
    maps = [torch.randn(1, c, height // s, width // s) for c, s in zip((4, 6, 8), (8, 16, 32), strict=True)]
    shapes = [tuple(x.shape[1:]) for x in fpn(maps)]
    assert shapes[:3] == [(8, height // s, width // s) for s in (8, 16, 32)]
    assert shapes[3:] == [(8, *shape) for shape in small]


@pytest.mark.parametrize("p7_relu", [False, True])
def test_against_the_definition(p7_relu: bool) -> None:
    torch.manual_seed(0)
    fpn = FPN((4, 6, 8), channels=8, p7_relu=p7_relu)
    c3, c4, c5 = (torch.randn(2, c, s, s) for c, s in ((4, 16), (6, 8), (8, 4)))
    m5 = fpn.lateral[2](c5)
    m4 = fpn.lateral[1](c4) + m5.repeat_interleave(2, 2).repeat_interleave(2, 3)
    m3 = fpn.lateral[0](c3) + m4.repeat_interleave(2, 2).repeat_interleave(2, 3)
    p3, p4, p5, p6, p7 = fpn((c3, c4, c5))
    for i, (p, m) in enumerate(((p3, m3), (p4, m4), (p5, m5))):
        torch.testing.assert_close(p, fpn.output[i](m))
    torch.testing.assert_close(p6, F.conv2d(p5, fpn.p6.weight, fpn.p6.bias, 2, 1))
    torch.testing.assert_close(p7, fpn.p7(p6.relu() if p7_relu else p6))
    assert (p6 < 0).any()


@pytest.mark.parametrize("height", [1, 2])
def test_gradients_in_bfloat16_are_finite_where_a_map_has_one_column(height: int) -> None:
    """With NaN in the memory that is free: what reads it by mistake shows it."""
    torch.manual_seed(0)
    fpn = FPN((4, 6, 8), channels=16)
    for _ in range(10):
        maps = [torch.randn(2, c, height * s, s) for c, s in ((4, 4), (6, 2), (8, 1))]
        spoilt = [torch.full((n,), math.nan) for n in (256, 1024, 4096, 16384, 65536) for _ in range(20)]
        del spoilt
        with torch.autocast("cpu", torch.bfloat16):
            p6, p7 = fpn(maps)[3:]
        (p6.float().sum() + p7.float().sum()).backward()
        assert all(conv.weight.grad.isfinite().all() for conv in (fpn.p6, fpn.p7))


@pytest.mark.parametrize("init", ["kaiming", "xavier"])
def test_init(init: str) -> None:
    torch.manual_seed(0)
    fpn = FPN((32, 48, 64), channels=48, init=init)
    for conv in (*fpn.lateral, *fpn.output, fpn.p6, fpn.p7):
        out, inputs, k, _ = conv.weight.shape
        bound = math.sqrt(3 / (inputs * k * k)) if init == "kaiming" else math.sqrt(6 / ((inputs + out) * k * k))
        assert 0.97 * bound < conv.weight.abs().max() <= bound
        assert not conv.bias.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": (8, 16)}, "in_channels=.*three numbers"),
        ({"in_channels": (8, 16, 0)}, r"in_channels\[2\]=0"),
        ({"channels": 0}, "channels=0"),
        ({"p7_relu": "no"}, "p7_relu=no: must be true or false"),
        ({"init": "normal"}, "init=normal: must be one of kaiming, xavier"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfRange, match=message):
        FPN(**{"in_channels": (8, 16, 32)} | arguments)
