"""Every network of torchvision's family: its parameters, its deformable layers, its conventions, a step of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from paa.checks import OutOfRange
from paa.detector import FPN, Detector, Head, ResNet
from paa.detector.conventions import CONVENTIONS
from paa.detector.deform import DeformConv2d
from paa.detector.resnet import LAYERS

# Name -> arguments, and parameters as published, without the classifier of 1000 classes.
NETS: dict[str, tuple[dict[str, Any], int]] = {
    "resnet18": ({"depth": 18}, 11_689_512 - 513_000),
    "resnet34": ({"depth": 34}, 21_797_672 - 513_000),
    "resnet50": ({"depth": 50}, 25_557_032 - 2_049_000),
    "resnet101": ({"depth": 101}, 44_549_160 - 2_049_000),
    "resnet152": ({"depth": 152}, 60_192_808 - 2_049_000),
    "resnext101_32x8d": ({"depth": 101, "groups": 32, "width_per_group": 8}, 88_791_336 - 2_049_000),
    "resnext101_64x4d": ({"depth": 101, "groups": 64, "width_per_group": 4}, 83_455_272 - 2_049_000),
}
X152 = {"depth": 152, "groups": 32, "width_per_group": 8}


def on_paper(arguments: dict[str, Any]) -> ResNet:
    """The network without data: shapes alone."""
    with torch.device("meta"):
        return ResNet(**{"norm": "batch"} | arguments)


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("name", NETS)
def test_parameters_are_torchvision_s(name: str) -> None:
    arguments, published = NETS[name]
    net = on_paper(arguments)
    with torch.device("meta"):
        whole = getattr(torchvision.models, name)(weights=None)
    assert parameters(net) == parameters(whole) - parameters(whole.fc) == published
    shapes = {k: v.shape for k, v in whole.state_dict().items() if not k.startswith("fc.")}
    assert {k: v.shape for k, v in net.state_dict().items()} == shapes


def by_hand(depth: int, groups: int, width: int) -> int:
    """Parameters of a bottleneck network: weights of its convolutions, scale and shift of its norms."""
    total, inputs = 3 * 64 * 49 + 128, 64
    for blocks, planes in zip(LAYERS[depth], (64, 128, 256, 512), strict=True):
        inner, outputs = planes * width // 64 * groups, 4 * planes
        for i in range(blocks):
            total += inputs * inner + 9 * inner * inner // groups + inner * outputs + 4 * inner + 2 * outputs
            total += inputs * outputs + 2 * outputs if i == 0 else 0
            inputs = outputs
    return total


def test_parameters_of_the_one_that_torchvision_lacks() -> None:
    assert parameters(on_paper(X152)) == by_hand(152, 32, 8) == 120_323_392
    assert by_hand(101, 32, 8) == NETS["resnext101_32x8d"][1]


@pytest.mark.parametrize(
    ("arguments", "stages", "layers"),
    [
        ({"depth": 34}, [3, 4, 5], 13),
        ({"depth": 50}, [3, 4, 5], 13),
        ({"depth": 101, "groups": 64, "width_per_group": 4}, [4, 5], 26),
    ],
)
def test_deformable_layers(arguments: dict[str, Any], stages: list[int], layers: int) -> None:
    plain, net = on_paper(arguments), on_paper({**arguments, "dcn_stages": stages})
    found = {name: m for name, m in net.named_modules() if isinstance(m, DeformConv2d)}
    assert len(found) == layers
    assert {name.split(".")[0] for name in found} == {f"layer{stage - 1}" for stage in stages}
    assert all(name.endswith("conv2") for name in found)
    surplus = {k for k in net.state_dict() if k not in plain.state_dict()}
    assert surplus == {f"{name}.offset.{part}" for name in found for part in ("weight", "bias")}
    assert plain.state_dict().keys() <= net.state_dict().keys()
    extra = sum(27 * (9 * m.in_channels + 1) for m in found.values())
    assert parameters(net) == parameters(plain) + extra
    assert all(found[name].groups == arguments.get("groups", 1) for name in found)
    halves = (2, 2) if arguments["depth"] >= 50 else (1, 1)  # a basic block halves its map in conv1
    assert all(
        found[f"layer{s - 1}.0.conv2"].stride == found[f"layer{s - 1}.0.conv2"].offset.stride == halves for s in stages
    )


def test_with_offsets_of_zero_it_is_half_of_each_deformable_convolution() -> None:
    torch.manual_seed(0)
    net = ResNet(50, norm="batch", dcn_stages=[5]).eval()
    plain = ResNet(50, norm="batch").eval()
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if ".offset." not in k})
    with torch.no_grad():
        for name, module in net.named_modules():
            if isinstance(module, DeformConv2d):
                module.offset.weight.zero_()
                plain.get_submodule(name).weight.mul_(0.5)
        x = torch.randn(1, 3, 64, 64)
        for found, right in zip(net(x), plain(x), strict=True):
            torch.testing.assert_close(found, right, rtol=1e-3, atol=1e-4)


def state_file(path: Path, convention: str | None, depth: int = 50) -> str:
    torch.manual_seed(0)
    state: dict[str, Any] = dict(ResNet(depth, norm="batch").state_dict())
    torch.save({"convention": convention, "state": state} if convention else state, path)
    return str(path)


@pytest.fixture(scope="module")
def plain_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return state_file(tmp_path_factory.mktemp("weights") / "plain.pth", None)


@pytest.fixture(scope="module")
def caffe_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return state_file(tmp_path_factory.mktemp("weights") / "caffe.pth", "caffe")


def test_the_file_says_the_convention_and_with_it_the_stride(plain_file: str, caffe_file: str) -> None:
    plain, caffe = on_paper({"weights": plain_file}), on_paper({"weights": caffe_file, "expects": "caffe"})
    assert plain.resolved_defaults == {"convention": "torchvision", "stride_in_1x1": False, "bn_eps": 1e-5}
    assert caffe.resolved_defaults == {"convention": "caffe", "stride_in_1x1": True, "bn_eps": 1e-5}
    assert (caffe.order, caffe.scale, caffe.mean, caffe.std) == CONVENTIONS["caffe"]
    assert caffe.layer2[0].conv1.stride == (2, 2)
    again = on_paper({"weights": caffe_file, **caffe.resolved_defaults})
    assert (again.resolved_defaults, again.order) == (caffe.resolved_defaults, "bgr")
    kept = on_paper({"weights": caffe_file, "stride_in_1x1": False})
    assert kept.resolved_defaults == {"convention": "caffe", "stride_in_1x1": False, "bn_eps": 1e-5}
    with pytest.raises(OutOfRange, match=r"expects=torchvision: the weights of .* want BGR"):
        on_paper({"weights": caffe_file, "expects": "torchvision"})
    with pytest.raises(OutOfRange, match="convention=caffe"):
        on_paper({"weights": plain_file, "expects": "caffe"})
    with pytest.raises(OutOfRange, match=r"convention=torchvision: the weights of .* need convention=caffe"):
        ResNet(weights=caffe_file, convention="torchvision")


@pytest.mark.parametrize(
    ("arguments", "stride"), [({"depth": 18}, False), ({"depth": 101}, True), (X152, False), ({"depth": 152}, True)]
)
def test_stride_from_scratch_under_caffe(arguments: dict[str, Any], stride: bool) -> None:
    net = on_paper({**arguments, "expects": "caffe"})
    assert net.resolved_defaults == {"convention": "caffe", "stride_in_1x1": stride, "bn_eps": 1e-5}


def test_weights_without_offsets_leave_these_at_their_start(plain_file: str) -> None:
    torch.manual_seed(1)
    net = ResNet(50, weights=plain_file, dcn_stages=[3, 4, 5])
    state = torch.load(plain_file, weights_only=True)
    assert torch.equal(net.layer4[2].conv2.weight, state["layer4.2.conv2.weight"])
    assert net.layer4[2].conv2.offset.weight.abs().sum() > 0
    assert net.layer4[2].conv2.offset.weight.requires_grad


def test_weights_may_be_named_without_being_loaded(tmp_path: Path) -> None:
    net = ResNet(18, weights=str(tmp_path / "gone.pth"), load_weights=False)
    assert (net.norm, net.frozen_stages, net.resolved_defaults["convention"]) == ("frozen", 2, "torchvision")


@pytest.mark.parametrize(
    "arguments",
    [{"depth": 34, "dcn_stages": [3, 4, 5]}, {"depth": 50, "dcn_stages": [3, 4, 5]}, NETS["resnext101_32x8d"][0]],
)
def test_two_steps_of_training_and_a_test_pass(arguments: dict[str, Any]) -> None:
    torch.manual_seed(0)
    backbone = ResNet(**arguments)
    head = Head(16, 3, depth=1, dcn="dcn_stages" in arguments)
    detector = Detector(backbone, FPN(backbone.out_channels, 16), head)
    optimizer = torch.optim.SGD(detector.parameters(), lr=1e-4)
    x = torch.randn(1, 3, 64, 64)
    before = {name: value.clone() for name, value in detector.named_parameters()}
    for _ in range(2):
        found, _ = detector(x)
        assert found.auxiliary is not None
        loss: Tensor = found.logits.square().mean() + found.deltas.square().mean() + found.auxiliary.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.isfinite(loss)
    still = [n for n, p in detector.named_parameters() if p.grad is None or torch.equal(p, before[n])]
    assert [name for name in still if "offset" in name or name.endswith("conv2.weight")] == []
    with torch.no_grad():
        found, levels = detector.eval()(torch.randn(1, 3, 96, 64))
    assert found.logits.shape == (1, sum(h * w for h, w in levels), 3)
    assert torch.isfinite(found.logits).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 35}, "depth=35: must be one of 18, 34, 50, 101, 152"),
        ({"depth": 18, "groups": 2}, "groups=2: ResNet-18 has only groups=1"),
        ({"groups": 0}, "groups=0 is out of range"),
        ({"width_per_group": 2.5}, "width_per_group=2.5: must be an integer"),
        ({"dcn_stages": 3}, r"dcn_stages=3: must be a list of stages from 2 to 5, e.g. \[3,4,5\]"),
        ({"dcn_stages": [1]}, r"dcn_stages\[0\]=1 is out of range: must be an integer from 2 to 5"),
        (
            {"dcn_stages": [3, 4], "weights": "x.pth", "norm": None, "frozen_stages": 3},
            r"dcn_stages=\[3, 4\] with frozen_stages=3: offsets start at random and must be trained",
        ),
        ({**X152, "weights": "torchvision", "norm": None}, "weights=torchvision: it has none for this network"),
        ({"expects": "bgr"}, "expects=bgr: must be one of weights, torchvision, caffe"),
        (
            {"weights": "torchvision", "norm": None, "expects": "caffe"},
            "expects=caffe: torchvision's weights want RGB .*, or take the input that they want: compat.input=weights",
        ),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfRange, match=message):
        on_paper(arguments)
