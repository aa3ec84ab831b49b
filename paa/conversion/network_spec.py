"""Derive what a detector is made of from the names and shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from paa.conversion.errors import ConversionError
from paa.detector.norm import group_count
from paa.detector.resnet import LAYERS

GROUPS = 32
"""Groups of every GroupNorm in the towers of all that is converted; shapes do not tell them."""


@dataclass(frozen=True)
class BackboneSpec:
    """A ResNet: depth, groups and width per group of its 3x3 convolutions, stages (2 to 5) with deformable ones."""

    depth: int
    groups: int
    width_per_group: int
    dcn_stages: tuple[int, ...]

    def __str__(self) -> str:
        name = f"ResNet-{self.depth}"
        if self.groups > 1:
            name = f"ResNeXt-{self.depth} {self.groups}x{self.width_per_group}d"
        stages = ", ".join(f"C{stage}" for stage in self.dcn_stages)
        return f"{name} with deformable {stages}" if stages else name


@dataclass(frozen=True)
class HeadSpec:
    """A head: channels, convolutions of each tower, whether they have a bias, whether the last is deformable."""

    channels: int
    depth: int
    tower_bias: bool
    dcn: bool


def backbone_spec(state: Mapping[str, Tensor], prefix: str = "") -> BackboneSpec:
    """Return the form of the ResNet below `prefix`; ConversionError where it is none of ours.

    Where blocks are missing it is the smallest network that has room for those that are there.
    """
    found = re.findall(rf"^{re.escape(prefix)}layer(\d)\.(\d+)\.", "\n".join(state), re.MULTILINE)
    blocks = {stage: {int(block) for layer, block in found if int(layer) == stage - 1} for stage in (2, 3, 4, 5)}
    counts = tuple(max(numbers, default=-1) + 1 for numbers in blocks.values())
    bottleneck = any(".conv3." in name for name in state if name.startswith(f"{prefix}layer"))
    known = {depth: layers for depth, layers in LAYERS.items() if (depth >= 50) == bottleneck}
    fitting = [(sum(most), depth) for depth, most in known.items() if np.less_equal(counts, most).all()]
    inner = state.get(f"{prefix}layer1.0.conv2.weight")
    if not fitting or inner is None or inner.dim() != 4 or inner.shape[0] % inner.shape[1]:
        kind = "bottlenecks" if bottleneck else "basic blocks"
        forms = ", ".join(f"ResNet-{depth}" for depth in LAYERS)
        raise ConversionError(f"its backbone has {list(counts)} {kind}: must be a form of {forms}")
    depth = min(fitting)[1]
    groups = inner.shape[0] // inner.shape[1] if bottleneck else 1
    return BackboneSpec(depth, groups, inner.shape[1], _deformable_stages(state, prefix, blocks))


def head_spec(state: Mapping[str, Tensor]) -> HeadSpec:
    """The form of the head; ConversionError where ours cannot have it. Towers that are missing count as usual ones."""
    lateral = state.get("fpn.lateral.0.weight")
    channels = 256 if lateral is None else lateral.shape[0]
    if group_count(channels, GROUPS) != GROUPS:
        problem = f"GroupNorm of {channels} channels has {GROUPS} groups there and {group_count(channels, GROUPS)} here"
        raise ConversionError(f"{problem}; must have {8 * GROUPS} channels or more")
    found = re.findall(r"^head\.(?:cls|bbox)_tower\.(\d+)\.(weight|bias|offset)\b", "\n".join(state), re.MULTILINE)
    weights, biases, deformed = ({int(n) for n, of in found if of == leaf} for leaf in ("weight", "bias", "offset"))
    if not weights:
        return HeadSpec(channels, 4, True, False)
    depth = max(weights) // 3 + 1
    if deformed - {3 * (depth - 1)}:
        first = min(deformed) // 3 + 1
        raise ConversionError(f"convolution {first} of its towers is deformable: must be only the last, or none")
    return HeadSpec(channels, depth, any(number % 3 == 0 for number in biases), bool(deformed))


def _deformable_stages(state: Mapping[str, Tensor], prefix: str, blocks: Mapping[int, set[int]]) -> tuple[int, ...]:
    stages = []
    for stage, numbers in blocks.items():
        with_offset = {i for i in numbers if f"{prefix}layer{stage - 1}.{i}.conv2.offset.weight" in state}
        if with_offset and with_offset != numbers:
            plain = ", ".join(str(i) for i in sorted(numbers - with_offset))
            problem = f"blocks {plain} are not deformable, and the others are"
            raise ConversionError(f"C{stage}: {problem}; must be all or none")
        if with_offset:
            stages.append(stage)
    return tuple(stages)
