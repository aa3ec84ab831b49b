"""Build the objects under test as the command line does: composed from conf/, built by `paa.experiment.parts`."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from paa.config.compose import Composer, resolved
from paa.experiment.parts import Components, assemble
from paa.structures import Anchors, Assignment, Predictions, Targets

_PUBLISHED = ("recipe=coco_1x", "data=shapes", "backbone=tiny")
"""K and anchor scale of the published numbers; neither data nor network are used here."""


@cache
def parts(preset: str, *overrides: str) -> Components:
    """Return grid, assigner, criterion and the other components of `compat=preset`."""
    return assemble(resolved(Composer().compose([*_PUBLISHED, f"compat={preset}", *overrides])))


def anchors_of(built: Components, sizes: Tensor, padded: tuple[int, int]) -> Anchors:
    """Return the anchors of images of sizes [B, 2] (h, w), all padded to (H, W)."""
    shapes = tuple((-(-padded[0] // s), -(-padded[1] // s)) for s in built.grid.strides)
    return built.grid(shapes, sizes, padded)


def assign(built: Components, anchors: Anchors, predictions: Predictions, targets: Targets) -> Assignment:
    """Assign one step as the training core does."""
    detached = Predictions(*(None if t is None else t.detach() for t in vars(predictions).values()))
    return built.assigner(anchors, detached, targets, 0.0)


def flat(maps: list[Tensor]) -> Tensor:
    """Flatten NCHW maps of all levels to [B, A, C]."""
    return torch.cat([m.flatten(2).mT for m in maps], 1)


def predictions_of(maps: dict[str, list[Tensor]]) -> Predictions:
    """Return the head's outputs, given the maps "cls", "reg" and "iou" of each level."""
    return Predictions(flat(maps["cls"]), flat(maps["reg"]), flat(maps["iou"]).squeeze(-1))
