"""What the network of a configuration is made of: shapes of its maps and numbers of its parameters, from itself.

The module runs once on an input without data (torch's meta device), and hooks note what each part gives.
Shapes are [C, H, W] of one image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from paa.detector import Detector
from paa.detector.deform import DeformConv2d
from paa.detector.detector import STRIDE
from paa.detector.fpn import FPN
from paa.detector.head import Head

Shape = tuple[int, ...]

Seen = list[tuple[nn.Module, Any]]
"""Modules that have run and what each gave, in the order in which they ended."""


@dataclass(frozen=True)
class Part:
    """A part of the network: what it gives, the number of its parameters, and how it is made ("3x3 conv")."""

    name: str
    shape: Shape
    parameters: int
    made: str = ""


@dataclass(frozen=True)
class Network:
    """A detector, part by part.

    image [3, H, W] with its padding; stages, C3 to C5, each with what leads to it from the one before; levels, P3 to
    P7, each with its own convolutions; towers and outputs of the head, which all levels share: an output's shape is
    that of the finest level. totals: parameters of backbone, fpn, head and all; trained: those that training changes.
    anchors: of all levels together.
    """

    backbone: str
    image: Shape
    stages: tuple[Part, ...]
    levels: tuple[Part, ...]
    towers: tuple[Part, ...]
    outputs: tuple[Part, ...]
    totals: dict[str, int]
    trained: int
    anchors: int


def trace(detector: Detector, size: tuple[int, int], backbone: str, auxiliary: str = "auxiliary") -> Network:
    """Run the detector, on the meta device, on one image of `size` (height, width), padded as batches are.

    It is of no use afterward: hooks on its modules note what each gives.
    backbone, auxiliary  what these are called; auxiliary is the output for which there may be none.
    """
    height, width = (-(-side // STRIDE) * STRIDE for side in size)
    seen: Seen = []
    for module in detector.eval().modules():
        module.register_forward_hook(lambda m, _, out: seen.append((m, out)))
    with torch.no_grad():
        predictions, _ = detector(torch.empty(1, 3, height, width, device="meta"))
    fpn, head = detector.fpn, detector.head
    assert isinstance(fpn, FPN)
    assert isinstance(head, Head)
    modules = {"backbone": detector.backbone, "fpn": fpn, "head": head, "all": detector}
    return Network(
        backbone=backbone,
        image=(3, height, width),
        stages=tuple(_stages(detector.backbone, seen)),
        levels=tuple(_levels(fpn, seen)),
        towers=(_part("class tower", head.cls_tower, seen), _part("box tower", head.bbox_tower, seen)),
        outputs=tuple(_outputs(head, seen, auxiliary)),
        totals={name: count(module) for name, module in modules.items()},
        trained=sum(p.numel() for p in detector.parameters() if p.requires_grad),
        anchors=predictions.logits.shape[1],
    )


def _levels(fpn: FPN, seen: Seen) -> Iterator[Part]:
    pairs: Iterable[tuple[nn.Module, ...]] = zip(fpn.lateral, fpn.output, strict=True)
    for i, (out, own) in enumerate(zip(_last(seen, fpn), [*pairs, (fpn.p6,), (fpn.p7,)], strict=True)):
        yield Part(f"P{i + 3}", _shape(out), sum(count(module) for module in own), made(*own))


def _outputs(head: Head, seen: Seen, auxiliary: str) -> Iterator[Part]:
    yield _part("class logits", head.cls_logits, seen)
    boxes, scales = _part("box deltas", head.bbox_pred, seen), head.scales.numel()
    yield replace(boxes, parameters=boxes.parameters + scales, made=f"{boxes.made}, {scales} scales")
    if head.iou_pred is not None:
        yield _part(auxiliary, head.iou_pred, seen)


def _part(name: str, module: nn.Module, seen: Seen) -> Part:
    """A module with the shape of what it gives when it first runs: at the finest level."""
    return Part(name, _shape(next(out for m, out in seen if m is module)), count(module), made(module))


def count(module: nn.Module) -> int:
    """Parameters of a module."""
    return sum(p.numel() for p in module.parameters())


def made(*modules: nn.Module) -> str:
    """Describe layers in their order: "4 × (3×3 conv, GroupNorm 32, ReLU)"; equal convolution blocks are counted."""
    blocks: list[list[str]] = []
    for layer in (text for module in modules for text in _layers(module)):
        if not blocks or " conv" in layer:
            blocks.append([])
        blocks[-1].append(layer)
    texts = []
    for block, equal in groupby(", ".join(block) for block in blocks):
        times = len(list(equal))
        texts.append(block if times == 1 else f"{times} × ({block})" if "," in block else f"{times} × {block}")
    return ", ".join(texts)


def _layers(module: nn.Module) -> list[str]:
    if isinstance(module, nn.Conv2d):
        kernel = "×".join(map(str, module.kernel_size))
        stride = f" /{module.stride[0]}" if module.stride[0] > 1 else ""
        return [f"{kernel} {'deformable ' if isinstance(module, DeformConv2d) else ''}conv{stride}"]
    if isinstance(module, nn.GroupNorm):
        return [f"GroupNorm {module.num_groups}"]
    if isinstance(module, nn.Sequential) or any(True for _ in module.children()):
        return [text for child in module.children() for text in _layers(child)]
    return [type(module).__name__]


def _stages(backbone: nn.Module, seen: Seen) -> Iterator[Part]:
    """C3, C4, C5: each holds the parameters of what ran after the one before it."""
    features = _last(seen, backbone)
    own = {*backbone.modules()} - {backbone}
    order = [(m, out) for m, out in seen if m in own]
    start, left = 0, count(backbone)
    for i, feature in enumerate(features):
        parameters = left
        if i < len(features) - 1:  # the last stage has all that is left
            end = max((at + 1 for at, (_, out) in enumerate(order) if out is feature), default=len(order))
            ran = {module for module, _ in order[start:end]}
            parameters = sum(p.numel() for module in ran for p in module.parameters(recurse=False))
            start, left = end, left - parameters
        yield Part(f"C{i + 3}", _shape(feature), parameters)


def _last(seen: Seen, module: nn.Module) -> Any:
    return next(out for m, out in reversed(seen) if m is module)


def _shape(out: Tensor) -> Shape:
    return tuple(out.shape[1:])
