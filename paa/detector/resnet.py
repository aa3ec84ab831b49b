"""ResNet-18 and ResNet-50 of torchvision as backbones: C3-C5, frozen layers, weights of a file or of torchvision."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from paa import checks
from paa.detector.norm import group_norm


class Convention(NamedTuple):
    """What images a backbone expects: channels in `order`, values in [0, scale], less `mean`, over `std`."""

    order: str
    scale: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


CONVENTIONS = {
    "torchvision": Convention("rgb", 1, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "caffe": Convention("bgr", 255, (102.9801, 115.9465, 122.7717), (1.0, 1.0, 1.0)),
}
NORMS = ("frozen", "statistics", "batch", "group")
DEPTHS = (18, 50)


class ResNet(nn.Module):
    """torchvision's ResNet without its classifier; parameter names are torchvision's.

    depth          18 or 50.
    weights        None: from scratch; "torchvision": its ImageNet weights (V1, downloaded once); else the path of a
                   local file with a torchvision state dict.
    norm           "frozen": BatchNorm as constants (paper, authors' code); "statistics": statistics frozen, scale and
                   shift trained past the frozen stages (MMDetection); "batch"; "group". None: "frozen" with weights,
                   "group" without. The first two need weights, "group" cannot take any.
    frozen_stages  0: none; 1: the stem; 2: stem and C2 (paper); up to 5. None: 2 with weights, 0 without.
    convention     input convention: "torchvision", or "caffe" (authors' code: BGR in [0, 255], std 1).
    stride_in_1x1  where ResNet-50's blocks halve the map: in the first 1x1 convolution (Caffe's weights) or in the 3x3.
    bn_eps         epsilon of the frozen BatchNorm; authors' code: 0.

    A value that cannot be, or weights that do not fit, raise `checks.OutOfRange` naming the argument, and of weights
    every missing, surplus or misshapen key.
    """

    strides = (8, 16, 32)

    def __init__(
        self,
        depth: int = 50,
        weights: str | None = None,
        norm: str | None = None,
        frozen_stages: int | None = None,
        convention: str = "torchvision",
        stride_in_1x1: bool = False,
        bn_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        checks.choice("depth", depth, DEPTHS)
        checks.choice("convention", convention, tuple(CONVENTIONS))
        checks.number("bn_eps", bn_eps, low=0)
        if weights is not None and (not isinstance(weights, str) or not weights):
            raise checks.OutOfRange("weights", f"={weights}: must be null, torchvision or the path of a file")
        self.norm = _checked_norm(norm, weights)
        self.frozen_stages = _checked_frozen(frozen_stages, weights)
        self.order, self.scale, self.mean, self.std = CONVENTIONS[convention]
        if weights == "torchvision" and convention != "torchvision":
            raise checks.OutOfRange("convention", f"={convention}: torchvision's weights need convention=torchvision")
        if checks.flag("stride_in_1x1", stride_in_1x1) and depth == 18:
            raise checks.OutOfRange("stride_in_1x1", "=True: ResNet-18 has no 1x1 convolution to halve in")

        layer = {"frozen": partial(FrozenBatchNorm2d, eps=bn_eps), "group": group_norm}.get(self.norm, nn.BatchNorm2d)
        build: Callable[..., torchvision.models.ResNet] = getattr(torchvision.models, f"resnet{depth}")
        trunk = build(weights=None, norm_layer=layer)
        self.conv1, self.bn1, self.relu, self.maxpool = trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4
        self.out_channels = (128, 256, 512) if depth == 18 else (512, 1024, 2048)
        if stride_in_1x1:
            self._stride_in_1x1()
        if weights is not None and not self.conv1.weight.is_meta:  # a network that is only checked holds no data
            self._load(_read(weights, depth), weights)
        for module in self._frozen():
            module.requires_grad_(False)
        self.train(self.training)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """[B, 3, H, W] -> C3, C4, C5, each [B, out_channels[i], ceil(H / stride), ceil(W / stride)]."""
        x = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(images)))))
        c3 = self.layer2(x)
        c4 = self.layer3(c3)
        return c3, c4, self.layer4(c4)

    def train(self, mode: bool = True) -> ResNet:
        """Training mode, but BatchNorm of frozen stages (of all, for norm=statistics) keeps its statistics."""
        super().train(mode)
        for root in [self] if self.norm == "statistics" else self._frozen():
            for module in root.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def _frozen(self) -> list[nn.Module]:
        stages: list[tuple[nn.Module, ...]] = [
            (self.conv1, self.bn1),
            (self.layer1,),
            (self.layer2,),
            (self.layer3,),
            (self.layer4,),
        ]
        return [module for stage in stages[: self.frozen_stages] for module in stage]

    def _stride_in_1x1(self) -> None:
        for name in ("layer2", "layer3", "layer4"):
            first = self.get_submodule(name).get_submodule("0")
            assert isinstance(first.conv1, nn.Conv2d)
            assert isinstance(first.conv2, nn.Conv2d)
            first.conv1.stride, first.conv2.stride = (2, 2), (1, 1)

    def _load(self, state: dict[str, Tensor], source: str) -> None:
        own = {k: v for k, v in self.state_dict().items() if not k.endswith("num_batches_tracked")}
        state = {k: v for k, v in state.items() if not k.startswith("fc.") and not k.endswith("num_batches_tracked")}
        problems = {
            "missing": sorted(own.keys() - state.keys()),
            "surplus": sorted(state.keys() - own.keys()),
            "of another shape": sorted(k for k in own.keys() & state.keys() if own[k].shape != state[k].shape),
        }
        if any(problems.values()):
            found = "; ".join(f"{what}: {', '.join(keys)}" for what, keys in problems.items() if keys)
            raise checks.OutOfRange("weights", f"={source}: not the weights of this network; {found}")
        self.load_state_dict(state, strict=False)


def _checked_norm(norm: str | None, weights: str | None) -> str:
    if norm is None:
        return "group" if weights is None else "frozen"
    checks.choice("norm", norm, NORMS)
    if weights is None and norm in ("frozen", "statistics"):
        raise checks.OutOfRange("norm", f"={norm} needs weights: random statistics cannot train; use batch or group")
    if weights is not None and norm == "group":
        raise checks.OutOfRange(
            "norm", "=group cannot take weights: they hold BatchNorm; use frozen, statistics or batch"
        )
    return norm


def _checked_frozen(frozen_stages: int | None, weights: str | None) -> int:
    if frozen_stages is None:
        return 0 if weights is None else 2
    checks.integer("frozen_stages", frozen_stages, low=0, high=5)
    if weights is None and frozen_stages > 0:
        raise checks.OutOfRange("frozen_stages", f"={frozen_stages} needs weights: without, it must be 0")
    return frozen_stages


def _read(weights: str, depth: int) -> dict[str, Tensor]:
    """The state dict that `weights` names; `checks.OutOfRange` where there is none."""
    if weights == "torchvision":
        entry = torchvision.models.get_model_weights(f"resnet{depth}")["IMAGENET1K_V1"]
        try:
            return dict(entry.get_state_dict(progress=False, check_hash=True))
        except OSError as error:
            hint = f"download {entry.url} elsewhere and give its path"
            raise checks.OutOfRange("weights", f"=torchvision: could not be fetched ({error}); {hint}") from error
    path = Path(weights)
    if not path.is_file():
        raise checks.OutOfRange("weights", f"={weights}: no such file; must be null, torchvision or the path of a file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load fails with many types, by the kind of damage
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise checks.OutOfRange("weights", f"={weights}: cannot be read as tensors alone ({reason})") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise checks.OutOfRange("weights", f"={weights}: must hold a state dict, names to tensors, and nothing else")
    return state
