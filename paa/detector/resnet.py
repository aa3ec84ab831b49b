"""torchvision's ResNets and ResNeXts as backbones: C3-C5, frozen layers, deformable stages, weights of many kinds."""

from __future__ import annotations

from collections.abc import Sequence

import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops import FrozenBatchNorm2d

from paa import checks
from paa.detector import weights as files
from paa.detector.conventions import AUTO, CONVENTIONS, resnet_defaults, resnet_name
from paa.detector.deform import STARTS, deformable
from paa.detector.norm import norm_layer
from paa.detector.pretrained import Pretrained

LAYERS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Residual blocks in C2-C5 for each depth; up to 34 basic blocks, from 50 on bottlenecks."""


class ResNet(Pretrained):
    """torchvision's ResNet without its classifier; parameter names are torchvision's.

    depth            18, 34, 50, 101 or 152.
    weights          None: from scratch; "torchvision": its ImageNet weights (V1, downloaded once); else the path of a
                     local file with a torchvision state dict (`paa.detector.weights.read`).
    norm, frozen_stages  see `Pretrained`.
    convention       input convention of the weights: "torchvision", "caffe" (authors' code: BGR in [0, 255], std 1) or
                     "auto": what their file states, else torchvision's; from scratch that of `expects`.
    stride_in_1x1    where a bottleneck halves its map: in the first 1x1 convolution or in the 3x3. None: in the 1x1 for
                     Caffe's ResNet-50, -101 and -152, in the 3x3 for all else (authors' code).
    bn_eps           epsilon of the frozen BatchNorm; None: the one that the weights were trained with, Caffe's 0 (as in
                     the authors' code), torchvision's 1e-5.
    groups, width_per_group  of a ResNeXt: 32 and 8 for 32x8d; 1 and 64 for a ResNet.
    dcn_stages       stages (2 to 5, for C2 to C5) whose 3x3 convolutions are deformable, of a basic block the second
                     only, which never halves the map; names `conv2.offset.weight`. Weights may lack the offsets;
                     these then start as `DeformConv2d` says for `dcn_init`.
    expects          what input the training expects: "weights" (whatever the weights want), "torchvision" or
                     "caffe". Weights that want another are refused.
    load_weights     False names weights without loading them: others will replace them.

    A value that cannot be, or weights that do not fit, raise `checks.OutOfRange` naming the argument, and of weights
    every missing, surplus or misshapen key.
    """

    parts = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))

    def __init__(
        self,
        depth: int = 50,
        weights: str | None = None,
        norm: str | None = None,
        frozen_stages: int | None = None,
        convention: str = AUTO,
        stride_in_1x1: bool | None = None,
        bn_eps: float | None = 1e-5,
        groups: int = 1,
        width_per_group: int = 64,
        dcn_stages: Sequence[int] = (),
        expects: str = "weights",
        load_weights: bool = True,
        dcn_init: str = "random",
    ) -> None:
        super().__init__(weights, norm, frozen_stages)
        loads = weights is not None and load_weights
        self.resolved_defaults = resnet_defaults(
            files.stated_convention(weights) if convention == AUTO or loads else None,
            depth=depth,
            weights=weights,
            convention=convention,
            stride_in_1x1=stride_in_1x1,
            bn_eps=bn_eps,
            groups=groups,
            width_per_group=width_per_group,
            expects=expects,
        )
        convention, stride_in_1x1, bn_eps = self.resolved_defaults.values()
        checks.choice("dcn_init", dcn_init, STARTS)
        self._check_form(depth, groups, width_per_group, dcn_stages)
        self.order, self.scale, self.mean, self.std = CONVENTIONS[convention]
        trunk = torchvision.models.ResNet(
            Bottleneck if depth >= 50 else BasicBlock,
            list(LAYERS[depth]),
            groups=groups,
            width_per_group=width_per_group,
            norm_layer=norm_layer(self.norm, bn_eps if self.norm == "frozen" else 1e-5),
        )
        self.conv1, self.bn1, self.relu, self.maxpool = trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4
        self.out_channels = (512, 1024, 2048) if depth >= 50 else (128, 256, 512)
        if stride_in_1x1:
            self._stride_in_1x1()
        self._deform(dcn_stages, dcn_init)
        if loads and not self.conv1.weight.is_meta:  # a network that is only checked holds no data
            assert weights is not None
            name = resnet_name(depth, groups, width_per_group)
            state = _published(name) if weights == "torchvision" else files.read(weights).state
            files.fit(self, state, weights, ignored=("fc.",), fresh=(".offset.weight", ".offset.bias"))
            self._check_variances(bn_eps)
        self.freeze()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """[B, 3, H, W] -> C3, C4, C5, each [B, out_channels[i], ceil(H / stride), ceil(W / stride)]."""
        x = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(images)))))
        c3 = self.layer2(x)
        c4 = self.layer3(c3)
        return c3, c4, self.layer4(c4)

    def _check_form(self, depth: int, groups: int, width: int, dcn_stages: Sequence[int]) -> None:
        checks.integer("groups", groups, low=1)
        checks.integer("width_per_group", width, low=1)
        if depth < 50 and (groups, width) != (1, 64):
            raise checks.OutOfRange("groups", f"={groups}: ResNet-{depth} has only groups=1 and width_per_group=64")
        checks.sequence("dcn_stages", dcn_stages, "a list of stages from 2 to 5, e.g. [3,4,5], or []")
        for i, stage in enumerate(dcn_stages):
            checks.integer(f"dcn_stages[{i}]", stage, low=2, high=5)
        if dcn_stages and min(dcn_stages) <= self.frozen_stages:
            problem = f"={list(dcn_stages)} with frozen_stages={self.frozen_stages}: offsets start at random"
            raise checks.OutOfRange("dcn_stages", f"{problem} and must be trained")

    def _blocks(self, stage: int) -> list[BasicBlock | Bottleneck]:
        children = self.get_submodule(f"layer{stage - 1}").children()
        return [block for block in children if isinstance(block, BasicBlock | Bottleneck)]

    def _stride_in_1x1(self) -> None:
        for stage in (3, 4, 5):
            first = self._blocks(stage)[0]
            first.conv1.stride, first.conv2.stride = (2, 2), (1, 1)

    def _check_variances(self, bn_eps: float) -> None:
        """Without an epsilon, a channel that is dead in the weights would be divided by its variance of zero."""
        for name, module in self.named_modules():
            if isinstance(module, FrozenBatchNorm2d):
                factor = module.weight * (module.running_var + bn_eps).rsqrt()
                if not factor.isfinite().all():
                    problem = f"={bn_eps}: {name} of the weights has channels without variance; set bn_eps=1e-5"
                    raise checks.OutOfRange("bn_eps", problem)

    def _deform(self, stages: Sequence[int], start: str) -> None:
        for stage in sorted(set(stages)):
            for block in self._blocks(stage):
                assert isinstance(block.conv2, nn.Conv2d)
                block.conv2 = deformable(block.conv2, start)


def _published(name: str) -> dict[str, Tensor]:
    """torchvision's first ImageNet weights of network `name`; `checks.OutOfRange` where they cannot be fetched."""
    entry = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    try:
        return dict(entry.get_state_dict(progress=False, check_hash=True))
    except OSError as error:
        hint = f"download {entry.url} elsewhere and give its path"
        raise checks.OutOfRange("weights", f"=torchvision: could not be fetched ({error}); {hint}") from error
