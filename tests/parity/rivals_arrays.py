"""Reads the golden arrays of the authors of other assigners (`rivals/`; README.md tells their format).

Some are beside this file; all of them are read where the checkout has ../shared, or where PAA_GOLDEN names a folder
of more such files.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from composed import flat
from golden_files import GoldenFiles
from torch import Tensor

from paa.anchors import AnchorGrid
from paa.assign import Assigner
from paa.structures import Anchors, Assignment, Predictions, Targets

Arrays = dict[str, np.ndarray]
AGAINST = "rivals, their authors' code"
STRIDES = (8, 16, 32, 64, 128)


_FILES = GoldenFiles("rivals")
folders, names, read = _FILES.folders, _FILES.names, _FILES.read


class GivenBoxes:
    """A box coder for predictions whose deltas are the boxes themselves, so that none is rounded on the way."""

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """Return the boxes [..., 4] that were given as deltas."""
        return deltas

    def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Return the boxes [..., 4] themselves."""
        return boxes


@dataclass
class Scene:
    """One file: its arrays and what they give to an assigner and the criterion.

    `predictions.deltas` are boxes [B, A, 4] in pixels, for `GivenBoxes`; logits, boxes and auxiliary are leaves.
    """

    arrays: Arrays
    anchors: Anchors
    predictions: Predictions
    targets: Targets

    def assign(self, assigner: Assigner, progress: float = 0.9) -> Assignment:
        """Assign as the training core does."""
        detached = Predictions(*(None if t is None else t.detach() for t in vars(self.predictions).values()))
        return assigner(self.anchors, detached, self.targets, progress)

    def of_file(self, values: Tensor) -> np.ndarray:
        """Flatten values of ground truths [B, G, ...], without padding, to the order of the file."""
        return values[self.targets.valid].numpy()

    def gts(self) -> list[tuple[int, int, int]]:
        """Return (image, index in the image, index in the file) of every ground truth."""
        spans = pairwise(self.arrays["gt_offsets"].tolist())
        return [(b, i - start, i) for b, (start, end) in enumerate(spans) for i in range(start, end)]

    def double(self) -> Scene:
        """Return the scene with predictions in float64, as new leaves."""
        leaves = (None if t is None else t.detach().double().requires_grad_() for t in vars(self.predictions).values())
        return Scene(self.arrays, self.anchors, Predictions(*leaves), self.targets)

    def gradients(self) -> dict[str, np.ndarray]:
        """Return the gradients of cls, reg and aux in the order of the file; reg by the distances (l, t, r, b)."""
        found = {}
        for kind, leaf in zip(("cls", "reg", "aux"), vars(self.predictions).values(), strict=True):
            grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            grad = grad * torch.tensor([-1, -1, 1, 1]) if kind == "reg" else grad
            maps = grad.reshape(len(grad), grad.shape[1], -1).split(self.anchors.counts, 1)
            found[kind] = np.concatenate([m.mT.flatten().numpy() for m in maps])
        return found


@cache
def _grid(center: float) -> AnchorGrid:
    return AnchorGrid(center=center, padding="negative")


def load(name: str) -> Scene:
    """Load a scene; the inputs are re-created from their recipe and compared with the digest of the file."""
    arrays = read(name)
    maps = _maps(arrays)
    height, width = (int(n) for n in arrays["image_size"])
    shapes = tuple((int(rows), int(columns)) for rows, columns in arrays["grid_sizes"])
    batch = len(arrays["gt_offsets"]) - 1
    anchors = _grid(float(arrays["centre_offset"]))(shapes, torch.tensor([[height, width]] * batch), (height, width))
    points = (anchors.boxes[:, :2] + anchors.boxes[:, 2:]) / 2
    distances = flat(maps["reg"])
    boxes = torch.cat((points - distances[..., :2], points + distances[..., 2:]), -1)
    if "boxes_value" in arrays:
        assert np.array_equal(boxes.flatten(0, 1)[arrays["boxes_index"]].numpy(), arrays["boxes_value"])
    leaves = (flat(maps["cls"]), boxes, flat(maps["aux"]).squeeze(-1))
    spans = [slice(a, b) for a, b in pairwise(arrays["gt_offsets"])]
    targets = Targets.pad(
        [torch.from_numpy(arrays["gt_boxes"][s]) for s in spans],
        [torch.from_numpy(arrays["gt_labels"][s]) for s in spans],
    )
    return Scene(arrays, anchors, Predictions(*(leaf.requires_grad_() for leaf in leaves)), targets)


def _maps(arrays: Arrays) -> dict[str, list[Tensor]]:
    """Return the maps of cls, reg (pixels) and aux per level."""
    batch, classes = len(arrays["gt_offsets"]) - 1, int(arrays["num_classes"])
    draw = np.random.Generator(np.random.PCG64(int(arrays["recipe_seed"])))
    maps: dict[str, list[np.ndarray]] = {"cls": [], "reg": [], "aux": []}
    for (rows, columns), stride in zip(arrays["grid_sizes"], STRIDES, strict=True):
        cls = draw.standard_normal((batch, classes, rows, columns), np.float32)
        maps["cls"].append(cls * arrays["recipe_cls_std"] + arrays["recipe_cls_mean"])
        reg = draw.standard_normal((batch, 4, rows, columns), np.float32) * arrays["recipe_reg_std"]
        reg = np.maximum(reg + arrays["recipe_reg_mean"], arrays["recipe_reg_floor"])
        maps["reg"].append(reg * np.float32(stride))
        maps["aux"].append(draw.standard_normal((batch, 1, rows, columns), np.float32) * arrays["recipe_aux_std"])
    kinds = ("index", "channel", "cls_value", "reg_value", "aux_value")
    for (level, b, y, x), c, cls, reg, aux in zip(*(arrays[f"edit_{k}"] for k in kinds), strict=True):
        maps["cls"][level][b, c, y, x] = cls
        maps["reg"][level][b, :, y, x] = reg
        maps["aux"][level][b, 0, y, x] = aux
    digest = hashlib.sha256(b"".join(m.astype("<f4").tobytes() for kind in maps.values() for m in kind))
    assert digest.hexdigest() == str(arrays["sha256"]), "the recipe makes other inputs than it did"
    return {kind: [torch.from_numpy(m) for m in levels] for kind, levels in maps.items()}
