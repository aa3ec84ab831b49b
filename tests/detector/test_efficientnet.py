"""EfficientNet-Lite0 against numbers that the package `efficientnet-lite-pytorch` gave with the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from paa.checks import OutOfRange
from paa.detector import EfficientNetLite0
from paa.detector.efficientnet import EPS, SameConv2d, package_file


@pytest.fixture(scope="module")
def installed() -> str:
    try:
        package_file()
    except OutOfRange as missing:
        pytest.skip(str(missing))
    return "package"


def drawn() -> Tensor:
    """An image [1, 3, 64, 96] that is the same everywhere, normalized."""
    return ((torch.arange(3 * 64 * 96) * 7919 % 256).float().view(1, 3, 64, 96) - 127) / 128


GOLDEN = {
    (1, 40, 8, 12): (-2.36647, 10.07085, 0.44581, 21.62164, -19.16692),
    (1, 112, 4, 6): (0.21291, 6.66827, -1.26357, 19.47223, 7.30438),
    (1, 320, 2, 3): (-0.2326, 3.10799, 1.52166, -2.35939, -6.56998),
}
"""Shape of C3, C4, C5 -> mean, standard deviation, first, middle and last value on `drawn()`, by the other package."""


@pytest.mark.parametrize("norm", ["frozen", "statistics", "batch"])
def test_maps_are_the_other_package_s(installed: str, norm: str) -> None:
    net = EfficientNetLite0(installed, norm=norm).eval()
    with torch.no_grad():
        maps = net(drawn())
    for found, (shape, numbers) in zip(maps, GOLDEN.items(), strict=True):
        assert tuple(found.shape) == shape
        flat = found.flatten()
        mine = [flat.mean(), flat.std(), flat[0], flat[len(flat) // 2], flat[-1]]
        assert [float(value) for value in mine] == pytest.approx(numbers, abs=2e-4)


def test_input_is_the_weights_own() -> None:
    net = EfficientNetLite0()
    assert (net.order, net.scale, net.mean, net.std) == ("rgb", 255, (127,) * 3, (128,) * 3)


@pytest.mark.parametrize("expects", ["torchvision", "caffe"])
def test_an_input_that_the_weights_contradict_is_refused(expects: str) -> None:
    with pytest.raises(
        OutOfRange, match=rf"expects={expects}: the weights .* want RGB in \[0, 255\], not .*input=weights"
    ):
        EfficientNetLite0("package", expects=expects, load_weights=False)
    assert EfficientNetLite0("package", expects="weights", load_weights=False).scale == 255
    assert EfficientNetLite0(None, expects=expects).scale == 255  # from scratch any input will do
    with pytest.raises(OutOfRange, match="expects=bgr: must be one of weights, torchvision, caffe"):
        EfficientNetLite0(None, expects="bgr")


def test_shapes_parameters_and_epsilon() -> None:
    net = EfficientNetLite0(norm="batch")
    with torch.no_grad():
        shapes = [tuple(x.shape) for x in net(torch.randn(2, 3, 96, 64))]
    assert shapes == [(2, c, 96 // s, 64 // s) for c, s in zip(net.out_channels, net.strides, strict=True)]
    # Published: 4.65 M with the last 1x1 convolution, its norm and the classifier.
    count = sum(p.numel() for p in net.parameters())
    assert count == 4_652_008 - (320 * 1280 + 2 * 1280) - (1280 * 1000 + 1000)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {(EPS, 0.01)}
    assert len([m for m in net.modules() if isinstance(m, SameConv2d)]) == 5


@pytest.mark.parametrize(("size", "kernel"), [(8, 3), (9, 3), (8, 5), (7, 5)])
def test_same_padding_goes_below_and_right(size: int, kernel: int) -> None:
    """Written out: the first sample of the result looks at missing // 2 rows of zeros above."""
    layer = SameConv2d(1, 1, kernel, 2, bias=False)
    nn.init.ones_(layer.weight)
    layer.requires_grad_(False)
    x = torch.arange(size * (size + 1), dtype=torch.float32).view(1, 1, size, size + 1)
    rows, columns = -(-size // 2), -(-(size + 1) // 2)
    found = layer(x)
    assert tuple(found.shape) == (1, 1, rows, columns)
    above = max((rows - 1) * 2 + kernel - size, 0) // 2
    left = max((columns - 1) * 2 + kernel - size - 1, 0) // 2
    for row in range(rows):
        for column in range(columns):
            ys, xs = row * 2 - above, column * 2 - left
            window = x[0, 0, max(ys, 0) : ys + kernel, max(xs, 0) : xs + kernel]
            assert float(found[0, 0, row, column]) == pytest.approx(float(window.sum()))


@pytest.mark.parametrize("norm", ["frozen", "statistics", "batch"])
@pytest.mark.parametrize("frozen_stages", [0, 2, 5])
def test_frozen_parts_do_not_move(installed: str, norm: str, frozen_stages: int) -> None:
    net = EfficientNetLite0(installed, norm=norm, frozen_stages=frozen_stages).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    trained = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained or [nn.Parameter(torch.ones(1))], lr=1e-3)
    loss = sum(x.square().mean() for x in net(torch.cat([drawn(), drawn().flip(3)])))
    assert isinstance(loss, Tensor)
    if loss.requires_grad:
        loss.backward()
        optimizer.step()
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    # A shift before a layer that is normalized over the batch has no effect, and so no gradient to speak of.
    moved |= {name for name, p in net.named_parameters() if p.requires_grad and name.endswith("bn2.bias")}
    frozen = tuple(f"{name}." for stage in net.parts[:frozen_stages] for name in stage)
    norms = {f"{name}." for name, m in net.named_modules() if isinstance(m, nn.BatchNorm2d | FrozenBatchNorm2d)}
    for name in before:
        statistic = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        is_norm = name[: name.rindex(".") + 1] in norms
        still = name.startswith(frozen) or (is_norm and norm == "frozen") or (statistic and norm == "statistics")
        assert (name in moved) != still, name


def test_stages_are_all_of_it() -> None:
    net = EfficientNetLite0()
    named = {f"{name}." for stage in net.parts for name in stage}
    assert len(named) == 2 + 16
    assert all(name.startswith(tuple(named)) for name, _ in net.named_parameters())
    assert all(p.requires_grad for p in net.parameters())
    assert net.norm == "group"


def test_weights_may_be_named_without_being_loaded() -> None:
    net = EfficientNetLite0("package", load_weights=False)
    assert (net.norm, net.frozen_stages) == ("frozen", 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": "torchvision"}, "weights=torchvision: it has none for this network; must be package or a file"),
        ({"weights": "/nowhere.pth"}, "weights=/nowhere.pth: no such file"),
        ({"weights": 3}, "weights=3: must be null, a name or the path of a file"),
        ({"norm": "frozen"}, "norm=frozen needs weights"),
        ({"weights": "package", "norm": "group"}, "norm=group cannot take weights"),
        ({"weights": "package", "frozen_stages": 6}, "frozen_stages=6 is out of range"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfRange, match=message):
        EfficientNetLite0(**arguments)
