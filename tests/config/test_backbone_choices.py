"""Every choice of backbone composes and builds, and is the network that its name says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from running import configuration
from torch import nn

from paa.config.compose import Composer, resolved
from paa.config.errors import ConfigError
from paa.config.instantiate import build
from paa.detector.deform import DeformConv2d
from paa.experiment.parts import assemble

CHOICES: dict[str, tuple[float, tuple[int, ...]]] = {
    "tiny": (0.22, (32, 64, 96)),
    "efficientnet_lite0": (2.96, (40, 112, 320)),
    "resnet18": (11.18, (128, 256, 512)),
    "resnet34": (21.28, (128, 256, 512)),
    "resnet50": (23.51, (512, 1024, 2048)),
    "resnet101": (42.50, (512, 1024, 2048)),
    "resnet152": (58.14, (512, 1024, 2048)),
    "resnext101_32x8d": (86.74, (512, 1024, 2048)),
    "resnext101_64x4d": (81.41, (512, 1024, 2048)),
    "resnext152_32x8d": (120.32, (512, 1024, 2048)),
}
"""Name -> millions of parameters, channels of C3, C4 and C5."""
DEFORMABLE = {
    "resnet34_dcn": [3, 4, 5],
    "resnet50_dcn": [3, 4, 5],
    "resnet101_dcn": [3, 4, 5],
    "resnet152_dcn": [3, 4, 5],
    "resnext101_32x8d_dcn": [4, 5],
    "resnext101_64x4d_dcn": [4, 5],
    "resnext152_32x8d_dcn": [4, 5],
}


@pytest.fixture(scope="module")
def configs() -> dict[str, dict[str, Any]]:
    """Each choice under the recipe of the comparison, its weights aside where torchvision has none."""
    compose = Composer()
    assert set(compose.options("backbone")) == CHOICES.keys() | DEFORMABLE.keys()
    found = {}
    for name in (*CHOICES, *DEFORMABLE):
        scratch = ["backbone.weights=null"] if name.startswith("resnext152") else []
        overrides = [f"backbone={name}", "recipe=coco_2x", "data.root=/data", *scratch]
        found[name] = resolved(compose.compose(overrides))
    return found


def on_paper(config: dict[str, Any]) -> Any:
    """The backbone without data."""
    with torch.device("meta"):
        return build(config["backbone"], "backbone")


def parameters(backbone: nn.Module) -> int:
    """Parameters, and scales and shifts that a frozen BatchNorm holds as buffers."""
    buffers = sum(b.numel() for n, b in backbone.named_buffers() if n.endswith((".weight", ".bias")))
    return buffers + sum(p.numel() for p in backbone.parameters())


@pytest.mark.parametrize("name", CHOICES)
def test_a_plain_one(name: str, configs: dict[str, dict[str, Any]]) -> None:
    backbone = on_paper(configs[name])
    millions, channels = CHOICES[name]
    assert backbone.out_channels == channels
    assert round(parameters(backbone) / 1e6, 2) == millions
    assert not any(isinstance(m, DeformConv2d) for m in backbone.modules())
    assert configs[name]["detector"]["head"]["dcn"] is False


@pytest.mark.parametrize("name", DEFORMABLE)
def test_a_deformable_one(name: str, configs: dict[str, dict[str, Any]]) -> None:
    config, plain = configs[name], configs[name.removesuffix("_dcn")]
    backbone = on_paper(config)
    layers = [n for n, m in backbone.named_modules() if isinstance(m, DeformConv2d)]
    assert {n.split(".")[0] for n in layers} == {f"layer{stage - 1}" for stage in DEFORMABLE[name]}
    assert all(n.endswith(".conv2") for n in layers)
    assert config["detector"]["head"]["dcn"] is True
    without = {k: v for k, v in config["backbone"].items() if k != "_dcn_towers_"}
    assert {**without, "dcn_stages": []} == plain["backbone"]
    assert {**config["detector"]["head"], "dcn": False} == plain["detector"]["head"]


def test_the_towers_follow_and_can_be_switched_apart(configs: dict[str, dict[str, Any]]) -> None:
    parts = assemble(configs["resnet50_dcn"])
    with torch.device("meta"):
        head = parts.detector(3).head
    assert [n for n, m in head.named_modules() if isinstance(m, DeformConv2d)] == ["cls_tower.9", "bbox_tower.9"]
    compose = Composer()
    node = resolved(compose.compose(["backbone=resnet50_dcn", "detector.head.dcn=false"]))
    assert (node["detector"]["head"]["dcn"], node["backbone"]["dcn_stages"]) == (False, [3, 4, 5])


def test_normalization_follows_weights_and_preset(configs: dict[str, dict[str, Any]]) -> None:
    assert {name: config["backbone"].get("norm") for name, config in configs.items()} == {
        **dict.fromkeys([*CHOICES, *DEFORMABLE], "frozen"),
        **dict.fromkeys(["resnext152_32x8d", "resnext152_32x8d_dcn"], "group"),
        "tiny": None,
    }
    compose = Composer()
    mmdet = resolved(compose.compose(["backbone=efficientnet_lite0", "compat=mmdet"]))
    scratch = resolved(compose.compose(["backbone=efficientnet_lite0", "backbone.weights=null"]))
    assert (mmdet["backbone"]["norm"], scratch["backbone"]["norm"]) == ("statistics", "group")


@pytest.mark.parametrize("compat", ["paper", "official", "mmdet"])
def test_a_preset_that_contradicts_the_pretrained_efficientnet_is_refused(compat: str) -> None:
    words = ["backbone=efficientnet_lite0", f"compat={compat}"]
    compose = Composer()
    refused, followed, scratch = (
        resolved(compose.compose([*words, *more])) for more in ([], ["compat.input=weights"], ["backbone.weights=null"])
    )
    with pytest.raises(ConfigError, match=r"^backbone\.expects=\w+: the weights of EfficientNet-Lite0 want RGB"):
        on_paper(refused)
    for config in (followed, scratch):
        assert on_paper({"backbone": config["backbone"]}).scale == 255


def test_messages(configs: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match=r"^backbone\.weights is missing: add backbone\.weights=VALUE"):
        configuration("backbone=resnext152_32x8d", "recipe=coco_2x", "data.root=/data")
    for name, keys, message in (
        ("resnext152_32x8d", {"weights": "torchvision", "norm": "frozen"}, "weights=torchvision: it has none for this"),
        ("resnet50_dcn", {"frozen_stages": 3}, "dcn_stages=[3, 4, 5] with frozen_stages=3: offsets start at random"),
        ("resnet50", {"expects": "caffe"}, "expects=caffe: torchvision's weights want RGB in [0, 1], not BGR in"),
        ("resnet50", {"weights": "/no/such.pth", "stride_in_1x1": 3}, "stride_in_1x1=3: must be true or false"),
    ):
        with pytest.raises(ConfigError) as caught:
            on_paper({"backbone": {**configs[name]["backbone"], **keys}})
        assert str(caught.value).startswith(f"backbone.{message}")
