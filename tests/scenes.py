"""Random scenes for the tests of assigners and criterion: anchors, predictions, ground truths."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from paa.anchors import AnchorGrid
from paa.postprocess import PostProcess
from paa.structures import Anchors, Detections, Predictions, Targets

KINDS = ("random", "crowded", "nested", "duplicate", "tiny", "huge", "elongated", "aligned", "mixed")


def detect(postprocess: PostProcess, predictions: Predictions, anchors: Anchors, *rest: Any) -> list[Detections]:
    """Return the detections of each image; arguments as of `PostProcess.select`."""
    return postprocess.finish(postprocess.select(predictions, anchors, *rest))


def anchors_of(sizes: list[tuple[int, int]], padded: tuple[int, int] = (128, 128), **grid: object) -> Anchors:
    """Return the default grid over images of these sizes (h, w)."""
    made = AnchorGrid(**grid)  # type: ignore[arg-type]
    shapes = tuple((-(-padded[0] // s), -(-padded[1] // s)) for s in made.strides)
    return made(shapes, torch.tensor(sizes, dtype=torch.int64).view(-1, 2), padded)


def boxes_of(kind: str, count: int, size: tuple[int, int], draw: torch.Generator) -> Tensor:
    """Draw ground truths [count, 4] in an image of size (h, w); corners on quarters of a pixel: areas are exact."""
    if kind == "mixed":
        kind = KINDS[int(torch.randint(len(KINDS) - 1, (), generator=draw))]
    low, high = {"tiny": (0.01, 0.05), "huge": (0.7, 1.0), "crowded": (0.2, 0.5)}.get(kind, (0.05, 0.6))
    extent = torch.tensor([size[1], size[0]], dtype=torch.float32)
    wh = (low + (high - low) * torch.rand(count, 2, generator=draw)) * extent
    if kind == "elongated":
        wh[:, 1] = 2 + wh[:, 1] * 0.05
    near = torch.rand(count, 2, generator=draw) * (extent - wh)
    if kind == "crowded":
        near = near * 0.3 + extent * 0.2
    if kind == "nested":
        center, shrink = extent / 2, torch.linspace(0.9, 0.1, count).unsqueeze(1)
        near, wh = center * (1 - shrink), extent * shrink
    if kind == "aligned":  # corners on the anchors' own grid: exactly equal IoUs everywhere
        near, wh = (near / 16).round() * 16, (wh / 16).round().clamp(min=1) * 16
    boxes = torch.cat((near, torch.minimum(near + wh, extent)), 1)
    if kind == "duplicate":
        boxes[1::2] = boxes[::2][: len(boxes[1::2])]
    return (boxes * 4).round() / 4


def scene(
    kind: str,
    seed: int,
    counts: tuple[int, ...] = (5, 3),
    classes: int = 4,
    flat: bool = False,
    **grid: object,
) -> tuple[Anchors, Predictions, Targets]:
    """Draw a batch with `counts` ground truths per image; `flat`: constant predictions (tied scores)."""
    draw = torch.Generator().manual_seed(seed)
    sizes = [(128, 128 - 24 * (i % 3)) for i in range(len(counts))]
    anchors = anchors_of(sizes, **grid)
    boxes = [boxes_of(kind, n, size, draw) for n, size in zip(counts, sizes, strict=True)]
    labels = [torch.randint(classes, (n,), generator=draw) for n in counts]
    shape = (len(counts), len(anchors.boxes))
    predictions = Predictions(
        torch.randn(*shape, classes, generator=draw) * 1.5 - 2,
        torch.randn(*shape, 4, generator=draw) * 0.8,
        torch.randn(*shape, generator=draw),
    )
    if flat:
        predictions = Predictions(*(torch.zeros_like(t) for t in (predictions.logits, predictions.deltas)), None)
    return anchors, predictions, Targets.pad(boxes, labels)
