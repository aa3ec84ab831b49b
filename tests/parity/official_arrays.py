"""Reads the golden arrays of the authors' code (their format is in the README beside them)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from paa.anchors import AnchorGrid
from paa.structures import Anchors, Predictions, Targets

LEVELS = range(5)


@dataclass
class Case:
    """One file: its arrays, and what they give to the code under test. `leaves` carry gradients, as NCHW maps."""

    name: str
    arrays: dict[str, np.ndarray]
    anchors: Anchors
    targets: Targets
    predictions: Predictions | None
    leaves: dict[str, list[torch.Tensor]]

    def gt_slices(self) -> list[tuple[int, int, int]]:
        """(image, index in the image, index in the file) of every ground truth."""
        offsets = self.arrays["gt_offsets"]
        return [(b, i - offsets[b], i) for b in range(len(offsets) - 1) for i in range(offsets[b], offsets[b + 1])]


def names(prefix: str) -> list[str]:
    """Names of the files of one kind, or a mark that there are none."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "golden" / "official"
    return sorted(path.name for path in folder.glob(f"{prefix}_*.npz")) or ["absent"]


def _maps(arrays: dict[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """cls, reg and iou maps per level: stored (form 1) or re-created from their recipe (form 2)."""
    if "recipe_seed" not in arrays:
        return {kind: [arrays[f"{kind}_l{level}"] for level in LEVELS] for kind in ("cls", "reg", "iou")}
    batch, classes = len(arrays["image_sizes"]), int(arrays["num_classes"])
    draw = np.random.Generator(np.random.PCG64(int(arrays["recipe_seed"])))
    maps: dict[str, list[np.ndarray]] = {"cls": [], "reg": [], "iou": []}
    for rows, columns in arrays["grid_sizes"]:
        cls = draw.standard_normal((batch, classes, rows, columns), np.float32)
        maps["cls"].append(cls * arrays["recipe_cls_std"] + arrays["recipe_cls_mean"])
        maps["reg"].append(draw.standard_normal((batch, 4, rows, columns), np.float32) * arrays["recipe_reg_std"])
        maps["iou"].append(draw.standard_normal((batch, 1, rows, columns), np.float32) * arrays["recipe_iou_std"])
    if "edit_cls_index" in arrays:
        for (level, b, c, y, x), value in zip(arrays["edit_cls_index"], arrays["edit_cls_value"], strict=True):
            maps["cls"][level][b, c, y, x] = value
    if "edit_regiou_index" in arrays:
        edits = zip(arrays["edit_regiou_index"], arrays["edit_reg_value"], arrays["edit_iou_value"], strict=True)
        for (level, b, y, x), deltas, iou in edits:
            maps["reg"][level][b, :, y, x] = deltas
            maps["iou"][level][b, 0, y, x] = iou
    digest = hashlib.sha256(b"".join(m.astype("<f4").tobytes() for kind in maps.values() for m in kind))
    assert digest.hexdigest() == str(arrays["sha256"]), "the recipe makes other inputs than it did"
    return maps


def _flat(leaves: list[torch.Tensor]) -> torch.Tensor:
    """NCHW maps of all levels as [B, A, C]."""
    return torch.cat([m.flatten(2).mT for m in leaves], 1)


def load(folder: Path, name: str) -> Case:
    """Reads one file of the official set."""
    path = folder / "golden" / "official" / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    grid = AnchorGrid(legacy=True, padding="negative")
    shapes = tuple((int(h), int(w)) for h, w in arrays["grid_sizes"])
    anchors = grid(shapes, torch.from_numpy(arrays["image_sizes"]), tuple(arrays["padded_size"]))
    offsets = arrays["gt_offsets"]
    spans = [slice(a, b) for a, b in pairwise(offsets)]
    targets = Targets.pad(
        [torch.from_numpy(arrays["gt_boxes"][s]) for s in spans],
        [torch.from_numpy(arrays["gt_labels"][s] - 1) for s in spans],
    )
    predictions, leaves = None, {}
    if "recipe_seed" in arrays or "cls_l0" in arrays:
        leaves = {
            kind: [torch.from_numpy(m.copy()).requires_grad_() for m in maps] for kind, maps in _maps(arrays).items()
        }
        predictions = Predictions(_flat(leaves["cls"]), _flat(leaves["reg"]), _flat(leaves["iou"]).squeeze(-1))
    return Case(name, arrays, anchors, targets, predictions, leaves)
