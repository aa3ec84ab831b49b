from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from paa.checks import OutOfRange
from paa.detector.head import Head

SHAPES = ((6, 8), (3, 4), (2, 2), (1, 1), (1, 1))


def pyramid(channels: int = 16) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, channels, h, w, generator=generator) for h, w in SHAPES]


@pytest.mark.parametrize("auxiliary", [False, True])
def test_order_of_the_anchors(auxiliary: bool) -> None:
    """Levels fine to coarse, each row-major: the value of an anchor is its own cell's."""
    head = Head(16, 3, depth=1, auxiliary=auxiliary)
    maps = pyramid()
    found = head(maps)
    assert found.logits.shape == (2, 64 + 2, 3)
    assert found.deltas.shape == (2, 66, 4)
    assert (found.auxiliary is not None) == auxiliary
    anchor = 0
    for x, (rows, columns) in zip(maps, SHAPES, strict=True):
        cls, reg = head.cls_logits(head.cls_tower(x)), head.bbox_tower(x)
        for y in range(rows):
            for column in range(columns):
                torch.testing.assert_close(found.logits[:, anchor], cls[:, :, y, column])
                torch.testing.assert_close(found.deltas[:, anchor], head.bbox_pred(reg)[:, :, y, column])
                if head.iou_pred is not None and found.auxiliary is not None:
                    torch.testing.assert_close(found.auxiliary[:, anchor], head.iou_pred(reg)[:, 0, y, column])
                anchor += 1
    assert anchor == 66


def test_each_level_has_its_scalar() -> None:
    head = Head(16, 3, depth=1)
    plain = head(pyramid())
    with torch.no_grad():
        head.scales.copy_(torch.tensor([1.0, 2, 3, 4, 5]))
    scaled = head(pyramid())
    factors = torch.cat([torch.full((h * w,), float(i + 1)) for i, (h, w) in enumerate(SHAPES)])
    torch.testing.assert_close(scaled.deltas, plain.deltas * factors.view(1, -1, 1))
    torch.testing.assert_close(scaled.logits, plain.logits)
    torch.testing.assert_close(scaled.auxiliary, plain.auxiliary)


@pytest.mark.parametrize(("prior", "bias"), [(0.01, -4.59512), (0.5, 0.0)])
def test_init(prior: float, bias: float) -> None:
    torch.manual_seed(0)
    head = Head(64, 8, depth=2, prior=prior)
    for name, module in head.named_modules():
        if isinstance(module, nn.Conv2d):
            assert abs(module.weight.std().item() - 0.01) < 0.001
            assert module.bias is not None
            assert torch.allclose(module.bias, torch.tensor(bias if name == "cls_logits" else 0.0), atol=1e-5)
    assert head.scales.tolist() == [1, 1, 1, 1, 1]
    assert abs(head(pyramid(64)).logits.sigmoid().mean().item() - prior) < 0.01


def test_towers() -> None:
    head = Head(256, 80)
    for layers in (head.cls_tower, head.bbox_tower):
        assert [type(m) for m in layers] == [nn.Conv2d, nn.GroupNorm, nn.ReLU] * 4
        assert layers[1].num_groups == 32
    assert Head(16, 3, depth=0)(pyramid()).logits.shape == (2, 66, 3)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("auxiliary", [False, True])
def test_number_of_parameters(bias: bool, auxiliary: bool) -> None:
    """256 channels, 80 classes: towers 2 x 4 x (convolution + GroupNorm), then 80 + 4 (+ 1) outputs and 5 scalars."""
    square = 256 * 256 * 9
    towers = 2 * 4 * (square + (256 if bias else 0) + 2 * 256)
    outputs = (80 + 4 + auxiliary) * (256 * 9 + 1)
    assert (
        sum(p.numel() for p in Head(256, 80, tower_bias=bias, auxiliary=auxiliary).parameters()) == towers + outputs + 5
    )


def test_every_parameter_is_reached() -> None:
    head = Head(16, 3, depth=2)
    found = head(pyramid())
    assert found.auxiliary is not None
    (found.logits.square().sum() + found.deltas.square().sum() + found.auxiliary.square().sum()).backward()
    assert [name for name, p in head.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_the_quality_branch_belongs_to_the_regression_tower() -> None:
    head = Head(16, 3, depth=2)
    found = head(pyramid())
    assert found.auxiliary is not None
    found.auxiliary.sum().backward()
    assert all(p.grad is None for p in head.cls_tower.parameters())
    assert all(p.grad is not None for p in head.bbox_tower.parameters())


def test_wrong_number_of_levels() -> None:
    with pytest.raises(ValueError, match="built for 5 levels and got 4"):
        Head(16, 3, depth=1)(pyramid()[:4])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "channels=0"),
        ({"classes": 0}, "classes=0"),
        ({"depth": -1}, "depth=-1"),
        ({"norm_groups": 0}, "norm_groups=0"),
        ({"tower_bias": 1}, "tower_bias=1: must be true or false"),
        ({"auxiliary": "iou"}, "auxiliary=iou: must be true or false"),
        ({"prior": 0}, "prior=0 is out of range: must be a number above 0 below 1"),
        ({"prior": math.nan}, "prior=nan"),
        ({"levels": 0}, "levels=0"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfRange, match=message):
        Head(**{"channels": 16, "classes": 3} | arguments)
