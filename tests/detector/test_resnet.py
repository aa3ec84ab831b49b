from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from paa.checks import OutOfRange
from paa.detector.resnet import ResNet


@pytest.fixture(scope="module")
def file18(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A state dict as torchvision publishes them, classifier and all, with statistics that are not 0 and 1."""
    torch.manual_seed(0)
    net = torchvision.models.resnet18(weights=None)
    net.train()
    with torch.no_grad():
        net(torch.randn(4, 3, 64, 64))
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(net.state_dict(), path)
    return str(path)


@pytest.mark.parametrize(("depth", "channels"), [(18, (128, 256, 512)), (50, (512, 1024, 2048))])
def test_shapes(depth: int, channels: tuple[int, ...]) -> None:
    net = ResNet(depth)
    assert net.out_channels == channels
    with torch.no_grad():
        shapes = [tuple(x.shape) for x in net(torch.randn(1, 3, 96, 64))]
    assert shapes == [(1, c, 96 // s, 64 // s) for c, s in zip(channels, net.strides, strict=True)]


def test_maps_are_torchvisions(file18: str) -> None:
    reference = torchvision.models.resnet18(weights=None)
    reference.load_state_dict(torch.load(file18, weights_only=True))
    reference.eval()
    nodes = {"layer2": "c3", "layer3": "c4", "layer4": "c5"}
    body = torchvision.models._utils.IntermediateLayerGetter(reference, nodes)
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = body(x)
        for norm in ("frozen", "statistics", "batch"):
            net = ResNet(18, weights=file18, norm=norm).eval()
            for found, right in zip(net(x), expected.values(), strict=True):
                torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-4)


def test_defaults_with_and_without_weights(file18: str) -> None:
    trained, fresh = ResNet(18, weights=file18), ResNet(18)
    assert (trained.norm, trained.frozen_stages) == ("frozen", 2)
    assert (fresh.norm, fresh.frozen_stages) == ("group", 0)
    assert all(p.requires_grad for p in fresh.parameters())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fresh.modules())


@pytest.mark.parametrize("norm", ["frozen", "statistics", "batch"])
@pytest.mark.parametrize("frozen_stages", [0, 1, 2, 5])
def test_frozen_parts_do_not_move(file18: str, norm: str, frozen_stages: int) -> None:
    net = ResNet(18, weights=file18, norm=norm, frozen_stages=frozen_stages).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = torch.optim.SGD(
        [p for p in net.parameters() if p.requires_grad] or [nn.Parameter(torch.ones(1))], lr=0.1
    )
    loss = sum(x.square().mean() for x in net(torch.randn(2, 3, 64, 64)))
    assert isinstance(loss, torch.Tensor)
    if loss.requires_grad:
        loss.backward()
        optimizer.step()
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    stages = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))
    frozen = tuple(f"{part}." for stage in stages[:frozen_stages] for part in stage)
    norms = {f"{name}." for name, m in net.named_modules() if isinstance(m, nn.BatchNorm2d | FrozenBatchNorm2d)}
    for name in before:
        statistic = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        is_norm = name[: name.rindex(".") + 1] in norms
        still = name.startswith(frozen) or (is_norm and norm == "frozen") or (statistic and norm == "statistics")
        assert (name in moved) != still, name


def test_epsilon_of_the_frozen_norm(file18: str) -> None:
    net = ResNet(18, weights=file18, bn_eps=0)
    assert {m.eps for m in net.modules() if isinstance(m, FrozenBatchNorm2d)} == {0}


def test_a_dead_channel_needs_an_epsilon(tmp_path: Path, file18: str) -> None:
    state = torch.load(file18, weights_only=True)
    state["layer3.1.bn2.running_var"][4] = 0
    state["layer3.1.bn2.weight"][4] = 0
    torch.save(state, tmp_path / "dead.pth")
    with pytest.raises(OutOfRange, match=r"bn_eps=0: layer3\.1\.bn2 of the weights has channels without variance"):
        ResNet(18, weights=str(tmp_path / "dead.pth"), bn_eps=0)
    ResNet(18, weights=str(tmp_path / "dead.pth"))


def test_stride_in_the_first_convolution() -> None:
    one, three = ResNet(50, stride_in_1x1=True), ResNet(50)
    for net, strides in ((one, (2, 1)), (three, (1, 2))):
        for stage in (net.layer2, net.layer3, net.layer4):
            assert (stage[0].conv1.stride[0], stage[0].conv2.stride[0]) == strides
    with torch.no_grad():
        x = torch.randn(1, 3, 64, 64)
        assert [y.shape for y in one(x)] == [y.shape for y in three(x)]


def test_input_conventions() -> None:
    modern, caffe = ResNet(18), ResNet(18, convention="caffe")
    assert (modern.order, modern.scale, modern.mean, modern.std) == (
        "rgb",
        1,
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
    )
    assert (caffe.order, caffe.scale, caffe.std) == ("bgr", 255, (1, 1, 1))
    assert caffe.mean == (102.9801, 115.9465, 122.7717)


def test_wrong_weights_are_named(tmp_path: Path, file18: str) -> None:
    state = torch.load(file18, weights_only=True)
    state["layer9.weight"] = state.pop("layer1.0.conv1.weight")
    state["layer2.0.bn1.weight"] = torch.ones(3)
    path = tmp_path / "other.pth"
    torch.save(state, path)
    with pytest.raises(OutOfRange) as caught:
        ResNet(18, weights=str(path))
    message = str(caught.value)
    assert message.startswith(f"weights={path}: not the weights of this network")
    assert "missing: layer1.0.conv1.weight" in message
    assert "surplus: layer9.weight" in message
    assert "of another shape: layer2.0.bn1.weight" in message


def test_unreadable_weights(tmp_path: Path) -> None:
    with pytest.raises(OutOfRange, match="no such file"):
        ResNet(18, weights=str(tmp_path / "none.pth"))
    (tmp_path / "text.pth").write_text("not a checkpoint")
    with pytest.raises(OutOfRange, match="cannot be read as tensors only") as caught:
        ResNet(18, weights=str(tmp_path / "text.pth"))
    assert "\n" not in str(caught.value)
    torch.save(Path("a"), tmp_path / "object.pth")
    with pytest.raises(OutOfRange, match="cannot be read as tensors only"):
        ResNet(18, weights=str(tmp_path / "object.pth"))
    torch.save([torch.ones(1)], tmp_path / "list.pth")
    with pytest.raises(OutOfRange, match="must hold a state dict"):
        ResNet(18, weights=str(tmp_path / "list.pth"))


def test_torchvision_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", refuse)
    with pytest.raises(OutOfRange, match=r"could not be fetched \(no route to host\); download https://.* elsewhere"):
        ResNet(18, weights="torchvision")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 35}, "depth=35: must be one of 18, 34, 50, 101, 152"),
        ({"norm": "frozen"}, "norm=frozen needs weights: random statistics cannot train; use batch or group"),
        ({"norm": "statistics"}, "norm=statistics needs weights"),
        ({"norm": "layer"}, "norm=layer: must be one of frozen, statistics, batch, group"),
        ({"norm": "group", "weights": "x.pth"}, "norm=group cannot take weights"),
        ({"frozen_stages": 6, "weights": "x.pth"}, "frozen_stages=6 is out of range: must be an integer from 0 to 5"),
        ({"frozen_stages": 2}, "frozen_stages=2 needs weights"),
        ({"convention": "bgr"}, "convention=bgr: must be one of auto, torchvision, caffe"),
        ({"convention": "caffe", "weights": "torchvision"}, "torchvision's weights need convention=torchvision"),
        ({"stride_in_1x1": True}, "ResNet-18 has no 1x1 convolution"),
        ({"bn_eps": -1}, "bn_eps=-1"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfRange, match=message):
        ResNet(**{"depth": 18} | arguments)


@pytest.mark.parametrize(("convention", "eps"), [("caffe", 0.0), ("torchvision", 1e-5)])
def test_an_epsilon_that_is_left_open_is_that_of_the_weights(file18, convention, eps):
    net = ResNet(18, weights=file18, convention=convention, bn_eps=None)
    assert net.resolved_defaults["bn_eps"] == eps
    assert {m.eps for m in net.modules() if isinstance(m, FrozenBatchNorm2d)} == {eps}
