"""The objects under test as a command line makes them: composed from conf/, built by `paa.experiment.parts`."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from paa.config.compose import composer, resolved
from paa.experiment.parts import Parts, assemble
from paa.structures import Anchors, Assignment, Predictions, Targets

_PUBLISHED = ("recipe=coco_1x", "data=shapes", "backbone=tiny")
"""K and anchor scale of the published numbers; neither data nor network are touched here."""


@cache
def parts(preset: str, *overrides: str) -> Parts:
    """Grid, assigner, criterion and the rest of `compat=preset`."""
    with composer() as compose:
        return assemble(resolved(compose.compose([*_PUBLISHED, f"compat={preset}", *overrides])))


def anchors_of(built: Parts, sizes: Tensor, padded: tuple[int, int]) -> Anchors:
    """Anchors of images of sizes [B, 2] (h, w), all padded to (H, W)."""
    shapes = tuple((-(-padded[0] // s), -(-padded[1] // s)) for s in built.grid.strides)
    return built.grid(shapes, sizes, padded)


def assign(built: Parts, anchors: Anchors, predictions: Predictions, targets: Targets) -> Assignment:
    """The assignment of one step, as the training core asks for it."""
    detached = Predictions(*(None if t is None else t.detach() for t in vars(predictions).values()))
    return built.assigner(anchors, detached, targets, 0.0)


def flat(maps: list[Tensor]) -> Tensor:
    """NCHW maps of all levels as [B, A, C]."""
    return torch.cat([m.flatten(2).mT for m in maps], 1)


def predictions_of(maps: dict[str, list[Tensor]]) -> Predictions:
    """What the head would have said: maps "cls", "reg" and "iou" of each level."""
    return Predictions(flat(maps["cls"]), flat(maps["reg"]), flat(maps["iou"]).squeeze(-1))
