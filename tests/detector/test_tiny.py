from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from paa.checks import OutOfRange
from paa.detector.tiny import STEMS, Block, Tiny


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("depths", [(1, 1, 1, 1), (0, 2, 1, 3)])
def test_shapes(stem: str, depths: tuple[int, ...]) -> None:
    net = Tiny(widths=(8, 12, 16, 24), depths=depths, stem=stem)
    maps = net(torch.randn(2, 3, 160, 192))
    assert net.out_channels == (12, 16, 24)
    assert [tuple(x.shape) for x in maps] == [(2, 12, 20, 24), (2, 16, 10, 12), (2, 24, 5, 6)]


def test_depths_count_blocks() -> None:
    net = Tiny(depths=(0, 2, 1, 3))
    assert [sum(isinstance(m, Block) for m in stage.modules()) for stage in net.stages] == [0, 2, 1, 3]


def test_every_parameter_is_reached() -> None:
    net = Tiny(widths=(8, 16, 16, 24), depths=(1, 1, 1, 1))
    for block in net.modules():  # from 0 the last scale of a block lets nothing through to what is before it
        if isinstance(block, Block):
            nn.init.ones_(block.norm2.weight)
    sum(x.square().sum() for x in net(torch.randn(2, 3, 64, 64))).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_a_block_starts_as_its_shortcut() -> None:
    x = torch.randn(2, 16, 8, 8).relu()
    net = Tiny(widths=(16, 16, 16, 16), depths=(1, 1, 1, 1))
    torch.testing.assert_close(net.stages[0](x), x)


def test_input_convention() -> None:
    net = Tiny()
    assert (net.order, net.scale, net.strides) == ("rgb", 1, (8, 16, 32))
    assert len(net.mean) == len(net.std) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": (8, 16, 16)}, "widths=.*four numbers"),
        ({"widths": (8, 16, 0, 16)}, r"widths\[2\]=0"),
        ({"depths": (0, 1, 0, 1)}, r"depths\[2\]=0 is out of range: must be an integer from 1"),
        ({"depths": (-1, 1, 1, 1)}, r"depths\[0\]=-1"),
        ({"stem": "conv3"}, "stem=conv3: must be one of conv7, two_convs"),
        ({"norm_groups": 0}, "norm_groups=0"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfRange, match=message):
        Tiny(**arguments)
