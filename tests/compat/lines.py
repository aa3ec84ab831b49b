"""Minimal cases in which a key of a preset matters: four anchors in a row, and ground truths."""

from __future__ import annotations

import torch
from scenes import detect
from torch import Tensor

from paa.anchors import AnchorGrid
from paa.experiment.parts import Components
from paa.structures import Anchors, Assignment, Detections, Predictions, Targets

ROW = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10], [20, 0, 30, 10], [30, 0, 40, 10]])

FAR = [900.0, 900.0, 910.0, 910.0]
"""A ground truth that no anchor overlaps."""


def row(boxes: Tensor = ROW) -> Anchors:
    """Return anchors of one level, all inside the image."""
    count = len(boxes)
    inside = torch.ones(1, count, dtype=torch.bool)
    return Anchors(boxes, torch.zeros(count, dtype=torch.int64), inside, ((1, count),), (8,))


def said(count: int = 4) -> Predictions:
    """Return predictions: the anchors themselves, and 0.5 for the single class and the IoU."""
    return Predictions(torch.zeros(1, count, 1), torch.zeros(1, count, 4), torch.zeros(1, count))


def truths(*boxes: list[float]) -> Targets:
    """Return ground truths of the single class."""
    return Targets.pad([torch.tensor(boxes)], [torch.zeros(len(boxes), dtype=torch.int64)])


def matched(parts: Components, *boxes: list[float]) -> list[int]:
    """Return the ground truth whose candidate each anchor of the row is, or -1."""
    return parts.assigner.score(row(), said(), truths(*boxes))[1][0].tolist()  # type: ignore[attr-defined]


def assigned(parts: Components, *boxes: list[float]) -> list[int]:
    """Return the assignment of each anchor of the row."""
    return parts.assigner(row(), said(), truths(*boxes), 0.0).gt_index[0].tolist()


def separated(parts: Components, *scores: float) -> list[int]:
    """Return the boundary's labels of candidates with these scores."""
    values = torch.tensor([scores], dtype=torch.float64)
    boundary = parts.assigner.boundary  # type: ignore[attr-defined]
    return boundary(values, torch.ones_like(values, dtype=torch.bool))[0].tolist()


def losses(parts: Components, box: list[float], statistics: list[float] | None = None) -> dict[str, float]:
    """Return the losses of the row, whose first anchor is assigned to `box`."""
    only = Assignment(torch.tensor([[0, -1, -1, -1]]))
    counts = None if statistics is None else torch.tensor(statistics)
    found = parts.criterion(said(), row(), truths(box), only, statistics=counts)
    return {name: float(value) for name, value in found.items()}


def grid(made: AnchorGrid, size: tuple[int, int] = (40, 64)) -> Anchors:
    """Return the anchors of an image of `size` (h, w) within 64 x 64 pixels."""
    shapes = tuple((-(-64 // stride), -(-64 // stride)) for stride in made.strides)
    return made(shapes, torch.tensor([size]), (64, 64))


def detected(
    parts: Components, boxes: list[list[float]], scores: list[float], quality: float = 1.0, stored: int = 64
) -> Detections:
    """Return the detections of a 64 x 64 image, stored at another size, given boxes and scores.

    quality: the predicted IoU of all.
    """
    anchors = row(torch.tensor(boxes))
    logits = torch.tensor(scores).logit().view(1, -1, 1)
    predictions = Predictions(logits, torch.zeros(1, len(boxes), 4), torch.full((1, len(boxes)), quality).logit())
    sizes = torch.tensor([[64, 64]])
    (found,) = detect(parts.postprocess, predictions, anchors, sizes, parts.auxiliary, torch.tensor([[stored, stored]]))
    return found
