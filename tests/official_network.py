"""A second implementation of the authors' network: names, shapes and forward pass, without our modules.

Written down from kkhoot/PAA: modeling/backbone/resnet.py and backbone.py (body), maskrcnn-benchmark's fpn.py (pyramid),
rpn/paa/paa.py and rpn/atss/atss.py (head), layers/misc.py (deformable convolution), rpn/anchor_generator.py (buffers).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import deform_conv2d

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
STRIDES = (8, 16, 32, 64, 128)

State = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Config:
    """The settings of a file of configs/: CONV_BODY, NUM_GROUPS, WIDTH_PER_GROUP, STRIDE_IN_1X1, STAGE_WITH_DCN,
    USE_DCN_IN_TOWER, and the name of the extra output ("iou_pred", "centerness" or none)."""

    depth: int
    groups: int = 1
    width: int = 64
    stride_in_1x1: bool = True
    stage_with_dcn: tuple[bool, bool, bool, bool] = (False, False, False, False)
    dcn_in_tower: bool = False
    extra: str = "iou_pred"


C3_TO_C5, C4_TO_C5 = (False, True, True, True), (False, False, True, True)

CONFIGS = {
    "paa/paa_R_50_FPN_1x": Config(50),
    "paa/paa_R_101_FPN_2x": Config(101),
    "paa/paa_X_101_FPN_2x": Config(101, 64, 4, False),
    "paa/paa_dcnv2_R_101_FPN_2x": Config(101, stage_with_dcn=C3_TO_C5, dcn_in_tower=True),
    "paa/paa_dcnv2_X_101_32x8d_FPN_2x": Config(101, 32, 8, False, C4_TO_C5, True),
    "paa/paa_dcnv2_X_101_64x4d_FPN_2x": Config(101, 64, 4, False, C4_TO_C5, True),
    "paa/paa_dcnv2_X_152_32x8d_FPN_2x": Config(152, 32, 8, False, C4_TO_C5, True),
    "paa/paa_dcnv2_X_152_32x8d_FPN_2x, as first published": Config(152, 32, 8, False, C3_TO_C5, True),
    "atss/atss_R_50_FPN_1x": Config(50, extra="centerness"),
}


def shapes(config: Config) -> Shapes:
    """Return {name: shape} of a checkpoint's state dict."""
    return dict([*_body(config), *_pyramid(), *_head(config), *_anchors()])


def _norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for buffer in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{buffer}", (channels,)


def _body(config: Config) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "backbone.body.stem.conv1.weight", (64, 3, 7, 7)
    yield from _norm("backbone.body.stem.bn1", 64)
    inputs = 64
    for stage, count in enumerate(BLOCKS[config.depth]):
        inner, outputs = config.groups * config.width * 2**stage, 256 * 2**stage
        for block in range(count):
            name = f"backbone.body.layer{stage + 1}.{block}"
            if inputs != outputs:
                yield f"{name}.downsample.0.weight", (outputs, inputs, 1, 1)
                yield from _norm(f"{name}.downsample.1", outputs)
            yield f"{name}.conv1.weight", (inner, inputs, 1, 1)
            yield from _norm(f"{name}.bn1", inner)
            kernel = (inner, inner // config.groups, 3, 3)
            if config.stage_with_dcn[stage]:
                yield f"{name}.conv2.offset.weight", (27, inner, 3, 3)
                yield f"{name}.conv2.offset.bias", (27,)
                yield f"{name}.conv2.conv.weight", kernel
            else:
                yield f"{name}.conv2.weight", kernel
            yield from _norm(f"{name}.bn2", inner)
            yield f"{name}.conv3.weight", (outputs, inner, 1, 1)
            yield from _norm(f"{name}.bn3", outputs)
            inputs = outputs


def _pyramid() -> Iterator[tuple[str, tuple[int, ...]]]:
    for level, width in ((2, 512), (3, 1024), (4, 2048)):
        yield f"backbone.fpn.fpn_inner{level}.weight", (256, width, 1, 1)
        yield f"backbone.fpn.fpn_inner{level}.bias", (256,)
        yield f"backbone.fpn.fpn_layer{level}.weight", (256, 256, 3, 3)
        yield f"backbone.fpn.fpn_layer{level}.bias", (256,)
    for name in ("p6", "p7"):
        yield f"backbone.fpn.top_blocks.{name}.weight", (256, 256, 3, 3)
        yield f"backbone.fpn.top_blocks.{name}.bias", (256,)


def _head(config: Config) -> Iterator[tuple[str, tuple[int, ...]]]:
    for tower in ("cls_tower", "bbox_tower"):
        for i in range(4):
            name, inner = f"rpn.head.{tower}.{3 * i}", ""
            if config.dcn_in_tower and i == 3:
                yield f"{name}.offset.weight", (27, 256, 3, 3)
                yield f"{name}.offset.bias", (27,)
                inner = ".conv"
            yield f"{name}{inner}.weight", (256, 256, 3, 3)
            yield f"{name}{inner}.bias", (256,)
            yield f"rpn.head.{tower}.{3 * i + 1}.weight", (256,)
            yield f"rpn.head.{tower}.{3 * i + 1}.bias", (256,)
    outputs = {"cls_logits": 80, "bbox_pred": 4} | ({config.extra: 1} if config.extra else {})
    for name, channels in outputs.items():
        yield f"rpn.head.{name}.weight", (channels, 256, 3, 3)
        yield f"rpn.head.{name}.bias", (channels,)
    for level in range(5):
        yield f"rpn.head.scales.{level}.scale", (1,)


def _anchors() -> Iterator[tuple[str, tuple[int, ...]]]:
    for level in range(5):
        yield f"rpn.anchor_generator.cell_anchors.{level}", (1, 4)


def anchors(scale: float = 8) -> State:
    """Return the anchor generator's buffers: the box of the first cell on each level, in inclusive pixels."""
    out: State = {}
    for level, stride in enumerate(STRIDES):
        middle, half = (stride - 1) / 2, (scale * stride - 1) / 2
        box = [middle - half, middle - half, middle + half, middle + half]
        out[f"rpn.anchor_generator.cell_anchors.{level}"] = torch.tensor([box])
    return out


def random_state(config: Config, seed: int = 0) -> State:
    """Draw weights that keep the scale of the maps; offsets of a pixel and masks on both sides of 1/2."""
    draw = torch.Generator().manual_seed(seed)
    state: State = {}
    for name, shape in shapes(config).items():
        if name in anchors():
            state[name] = anchors()[name]
            continue
        value = torch.randn(shape, generator=draw)
        if len(shape) == 4:
            value *= (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
        elif name.endswith(("running_var", "scale")) or (name.endswith(".weight") and len(shape) == 1):
            value = 0.5 + value.abs() / 2
        else:
            value *= 0.2
        if ".bn3." in name and name.endswith(".weight"):
            value *= 0.2  # the sum over many blocks must not grow
        state[name] = value
    return state


def normed(x: Tensor, state: State, name: str) -> Tensor:
    """Apply frozen BatchNorm, without epsilon as in training."""
    scale = state[f"{name}.weight"] * state[f"{name}.running_var"].rsqrt()
    shift = state[f"{name}.bias"] - state[f"{name}.running_mean"] * scale
    return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)


def deformed(x: Tensor, state: State, name: str, stride: int = 1) -> Tensor:
    """Apply DFConv2d: two thirds of the offset convolution are offsets, the last third is the mask."""
    moved = F.conv2d(x, state[f"{name}.offset.weight"], state[f"{name}.offset.bias"], stride, padding=1)
    offset, mask = moved[:, :18], moved[:, 18:].sigmoid()
    return deform_conv2d(
        x, offset, state[f"{name}.conv.weight"], state.get(f"{name}.conv.bias"), stride, padding=1, mask=mask
    )


def forward(config: Config, state: State, images: Tensor) -> list[tuple[Tensor, Tensor, Tensor | None]]:
    """Return class logits, deltas and the extra output of each level as their head does: [B, channels, h, w]."""
    c3, c4, c5 = _features(config, state, images)
    inner = {i: _conv(x, state, f"backbone.fpn.fpn_inner{i}") for i, x in ((2, c3), (3, c4), (4, c5))}
    inner[3] = inner[3] + F.interpolate(inner[4], scale_factor=2, mode="nearest")
    inner[2] = inner[2] + F.interpolate(inner[3], scale_factor=2, mode="nearest")
    levels = [_conv(inner[i], state, f"backbone.fpn.fpn_layer{i}", padding=1) for i in (2, 3, 4)]
    levels.append(_conv(levels[-1], state, "backbone.fpn.top_blocks.p6", stride=2, padding=1))
    levels.append(_conv(F.relu(levels[-1]), state, "backbone.fpn.top_blocks.p7", stride=2, padding=1))
    out = []
    for level, x in enumerate(levels):
        classes, boxes = _tower(config, state, "cls_tower", x), _tower(config, state, "bbox_tower", x)
        logits = _conv(classes, state, "rpn.head.cls_logits", padding=1)
        deltas = _conv(boxes, state, "rpn.head.bbox_pred", padding=1) * state[f"rpn.head.scales.{level}.scale"]
        extra = _conv(boxes, state, f"rpn.head.{config.extra}", padding=1) if config.extra else None
        out.append((logits, deltas, extra))
    return out


def _features(config: Config, state: State, images: Tensor) -> list[Tensor]:
    x = F.conv2d(images, state["backbone.body.stem.conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(F.relu(normed(x, state, "backbone.body.stem.bn1")), 3, 2, 1)
    stages = []
    for stage, count in enumerate(BLOCKS[config.depth]):
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            name = f"backbone.body.layer{stage + 1}.{block}"
            first, second = (stride, 1) if config.stride_in_1x1 else (1, stride)
            y = F.relu(normed(F.conv2d(x, state[f"{name}.conv1.weight"], stride=first), state, f"{name}.bn1"))
            if config.stage_with_dcn[stage]:
                y = deformed(y, state, f"{name}.conv2", second)
            else:
                y = F.conv2d(y, state[f"{name}.conv2.weight"], stride=second, padding=1, groups=config.groups)
            y = F.relu(normed(y, state, f"{name}.bn2"))
            y = normed(F.conv2d(y, state[f"{name}.conv3.weight"]), state, f"{name}.bn3")
            if f"{name}.downsample.0.weight" in state:
                x = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride)
                x = normed(x, state, f"{name}.downsample.1")
            x = F.relu(x + y)
        stages.append(x)
    return stages[1:]


def _tower(config: Config, state: State, tower: str, x: Tensor) -> Tensor:
    for i in range(4):
        name = f"rpn.head.{tower}.{3 * i}"
        x = deformed(x, state, name) if config.dcn_in_tower and i == 3 else _conv(x, state, name, padding=1)
        norm = f"rpn.head.{tower}.{3 * i + 1}"
        x = F.relu(F.group_norm(x, 32, state[f"{norm}.weight"], state[f"{norm}.bias"]))
    return x


def _conv(x: Tensor, state: State, name: str, stride: int = 1, padding: int = 0) -> Tensor:
    return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride, padding)
