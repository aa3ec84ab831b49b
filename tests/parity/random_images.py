"""Random images for the literal implementation: ground truths of every kind, and random network outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from literal_assign import Image, grid
from literal_boxes import Array, encode, iou
from literal_rules import Rules

from paa.structures import Predictions, Targets

KINDS = ("random", "crowded", "nested", "duplicate", "tiny", "huge", "elongated", "aligned", "mixed")
SAYS = ("fresh", "trained", "trained", "wild")
SMALL = ((128, 128), (96, 160), (160, 192), (192, 128), (224, 256))
LARGE = (800, 1333)


def boxes_of(kind: str, count: int, size: tuple[int, int], draw: np.random.Generator) -> Array:
    """Draw ground truths [count, 4] float32 with sides of at least a pixel, within [0, w - 1] x [0, h - 1]."""
    extent = np.array([size[1] - 1, size[0] - 1], float)
    if kind == "mixed":
        parts = [boxes_of(KINDS[draw.integers(8)], 1, size, draw) for _ in range(count)]
        return np.concatenate(parts)
    low, high = {"tiny": (0.008, 0.05), "huge": (0.7, 1.0), "crowded": (0.2, 0.5)}.get(kind, (0.04, 0.7))
    wh = draw.uniform(low, high, (count, 2)) * extent
    if kind == "elongated":
        wh[:, draw.integers(2)] = draw.uniform(1, 6, count)
    corner = draw.uniform(0, 1, (count, 2)) * (extent - wh)
    if kind == "crowded":
        corner = corner * 0.3 + extent * 0.2
    if kind == "nested":
        shrink = np.linspace(0.95, 0.05, count)[:, None]
        corner, wh = extent / 2 * (1 - shrink), extent * shrink
    if kind == "aligned":  # corners on the anchors' own grid: exactly equal IoUs everywhere
        corner, wh = np.round(corner / 8) * 8, np.maximum(np.round(wh / 8), 1) * 8
    boxes = np.concatenate((corner, np.minimum(corner + np.maximum(wh, 1), extent)), 1)
    boxes[:, :2] = np.minimum(boxes[:, :2], boxes[:, 2:] - 1)
    if kind == "duplicate":
        boxes[1::2] = boxes[::2][: len(boxes[1::2])]
    return boxes.astype(np.float32)


def image_of(
    kind: str,
    says: str,
    count: int,
    classes: int,
    size: tuple[int, int],
    padded: tuple[int, int],
    rules: Rules,
    draw: np.random.Generator,
) -> Image:
    """Draw one image; `says` is the kind of network outputs: "fresh", "trained" or "wild"."""
    anchors = grid(rules, padded)[0]
    boxes = boxes_of(kind, count, size, draw)
    labels = draw.integers(classes, size=count).tolist()
    normal: Callable[..., Array] = lambda *shape: draw.standard_normal((len(anchors), *shape))  # noqa: E731
    logits, deltas, quality = {
        "fresh": lambda: (-4.6 + 0.1 * normal(classes), 0.1 * normal(4), 0.1 * normal()),
        "trained": lambda: (-5 + normal(classes), 0.5 * normal(4), normal()),
        "wild": lambda: (-8 + 3 * normal(classes), 6 * normal(4), 3 * normal()),
    }[says]()
    if says == "trained" and count:
        overlaps = np.stack([iou(box, anchors, rules.one) for box in boxes])
        best, own = overlaps.max(0), overlaps.argmax(0)
        near = np.flatnonzero(best > 0.2)
        aim = encode(rules, boxes[own[near]], anchors[near])
        deltas[near] = aim + draw.uniform(0.1, 1.5) * deltas[near]
        logits[near, np.array(labels)[own[near]]] += 7 * best[near] + draw.standard_normal(len(near))
        quality[near] += 3 * best[near] - 1
    return Image(size, padded, boxes, labels, *(x.astype(np.float32) for x in (logits, deltas, quality)))


def images_of(seed: int, rules: Rules, large: bool = False, empty: bool = False) -> list[Image]:
    """Draw a batch of one or two images from its number; with `empty` some have no ground truth."""
    draw = np.random.default_rng(seed)
    kind, says = KINDS[seed % len(KINDS)], SAYS[seed // len(KINDS) % len(SAYS)]
    padded = (800, 1344) if large else SMALL[seed % len(SMALL)]
    classes = 80 if seed % 29 == 0 and not large else int(draw.integers(1, 7))
    images = []
    for number in range(1 if large or classes == 80 or seed % 3 else 2):
        count = int(np.exp(draw.uniform(0, np.log(61))))
        if empty and number and draw.random() < 0.2:
            count = 0
        size = LARGE if large else tuple(int(side - draw.integers(32 if number == 0 else side // 2)) for side in padded)
        images.append(image_of(kind, says, count, classes, size, padded, rules, draw))
    return images


def tensors_of(images: list[Image]) -> tuple[Predictions, Targets]:
    """Return a batch as input of our code."""
    stacked = (np.stack([getattr(image, name) for image in images]) for name in ("logits", "deltas", "quality"))
    boxes = [torch.from_numpy(image.boxes) for image in images]
    labels = [torch.tensor(image.labels, dtype=torch.int64) for image in images]
    return Predictions(*(torch.from_numpy(x) for x in stacked)), Targets.pad(boxes, labels)
