"""Deformable convolution against a loop written from its definition."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paa.checks import OutOfRange
from paa.detector.deform import DeformConv2d, deformable
from paa.detector.head import Head


def bilinear(plane: Tensor, y: float, x: float) -> float:
    """Value of [H, W] at a place between its cells; cells outside are zero."""
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                total += float(plane[row, column]) * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def literal(x: Tensor, layer: DeformConv2d) -> Tensor:
    """The definition: out(p) = bias + sum over k of w_k mask_k x(p + k + offset_k), group by group."""
    moved, weight = layer.offset(x), layer.weight
    size, stride, pad, groups = layer.kernel_size[0], layer.stride[0], int(layer.padding[0]), layer.groups
    batch, _, rows, columns = moved.shape
    out = torch.zeros(batch, layer.out_channels, rows, columns)
    inputs, outputs = layer.in_channels // groups, layer.out_channels // groups
    for b in range(batch):
        for row in range(rows):
            for column in range(columns):
                for k in range(size * size):
                    dy, dx, logit = (float(moved[b, c, row, column]) for c in (2 * k, 2 * k + 1, 2 * size**2 + k))
                    mask = 1 / (1 + math.exp(-logit))
                    y, z = row * stride - pad + k // size + dy, column * stride - pad + k % size + dx
                    sampled = [mask * bilinear(x[b, c], y, z) for c in range(layer.in_channels)]
                    for o in range(layer.out_channels):
                        first = o // outputs * inputs
                        for i in range(inputs):
                            out[b, o, row, column] += float(weight[o, i, k // size, k % size]) * sampled[first + i]
    return out if layer.bias is None else out + layer.bias.view(1, -1, 1, 1)


@pytest.mark.parametrize(("stride", "groups", "bias"), [(1, 1, True), (2, 2, False)])
def test_against_the_definition(stride: int, groups: int, bias: bool) -> None:
    torch.manual_seed(0)
    layer = DeformConv2d(4, 6, 3, stride, 1, groups, bias)
    with torch.no_grad():
        layer.offset.weight.mul_(3)  # some samples fall outside of the map
        layer.offset.bias.uniform_(-1, 1)  # type: ignore[union-attr]
        x = torch.randn(2, 4, 5, 6)
        found, right = layer(x), literal(x, layer)
    assert layer.offset(x)[:, :18].abs().max() > 3
    torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 4])
def test_without_offsets_it_is_half_the_convolution(groups: int) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=groups, bias=False)
    layer = deformable(plain)
    nn.init.zeros_(layer.offset.weight)
    x = torch.randn(1, 8, 9, 12)
    torch.testing.assert_close(layer(x), plain(x) / 2)
    assert layer.weight is plain.weight


def test_start_of_the_offsets() -> None:
    """Kaiming-uniform with a = 1: within sqrt(3 / fan-in), and not zero; the bias zero."""
    torch.manual_seed(0)
    offset = DeformConv2d(64, 64).offset
    assert offset.bias is not None
    assert not offset.bias.any()
    bound = math.sqrt(3 / (64 * 9))
    assert 0.98 * bound < offset.weight.abs().max() <= bound
    assert (offset.out_channels, offset.groups) == (27, 1)


def test_offsets_may_start_at_zero() -> None:
    torch.manual_seed(0)
    plain, x = nn.Conv2d(8, 8, 3, padding=1, bias=False), torch.randn(1, 8, 5, 5)
    torch.testing.assert_close(deformable(plain, "zero")(x), plain(x) / 2)
    assert not torch.allclose(deformable(plain)(x), plain(x) / 2, atol=0.01)
    head = Head(16, 3, depth=2, dcn=True, dcn_init="zero")
    for name, parameter in head.named_parameters():
        if ".offset." in name:
            assert not parameter.any(), name
    assert all(m.weight.std() > 0 for m in head.cls_tower if isinstance(m, nn.Conv2d))


def test_the_towers_end_in_one_each() -> None:
    torch.manual_seed(0)
    head = Head(64, 3, depth=3, dcn=True)
    for tower in (head.cls_tower, head.bbox_tower):
        convolutions = [m for m in tower if isinstance(m, nn.Conv2d)]
        assert [isinstance(m, DeformConv2d) for m in convolutions] == [False, False, True]
        last = convolutions[-1]
        assert isinstance(last, DeformConv2d)
        assert last.offset.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert last.weight.abs().max() <= 1 / math.sqrt(64 * 9)  # torch's start, as in the authors' code
        assert last.bias is not None
        assert not last.bias.any()
    names = dict(head.named_parameters())
    assert {"cls_tower.6.weight", "cls_tower.6.offset.weight", "cls_tower.6.offset.bias"} <= names.keys()
    levels = [torch.randn(1, 64, s, s) for s in (8, 4, 2, 1, 1)]
    found = head(levels)
    (found.logits.square().sum() + found.deltas.square().sum()).backward()
    assert names["bbox_tower.6.offset.weight"].grad.abs().sum() > 0  # type: ignore[union-attr]


def test_refusals() -> None:
    with pytest.raises(OutOfRange, match="kernel_size=2: must be odd"):
        DeformConv2d(4, 4, 2)
    with pytest.raises(OutOfRange, match="dcn=True: a tower without convolutions"):
        Head(16, 3, depth=0, dcn=True)
    with pytest.raises(OutOfRange, match="start=one: must be one of random, zero"):
        DeformConv2d(4, 4, start="one")
    with pytest.raises(OutOfRange, match="dcn_init=one: must be one of random, zero"):
        Head(16, 3, dcn_init="one")
    with pytest.raises(OutOfRange, match="dcn=1: must be true or false"):
        Head(16, 3, dcn=1)  # type: ignore[arg-type]


def test_gradients_reach_weight_offset_and_input() -> None:
    torch.manual_seed(0)
    layer, x = DeformConv2d(4, 4), torch.randn(1, 4, 6, 6, requires_grad=True)
    F.relu(layer(x)).sum().backward()
    assert x.grad is not None
    for name, p in layer.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().sum() > 0, name
