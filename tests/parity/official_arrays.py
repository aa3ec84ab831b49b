"""Reads the golden arrays of the authors' code (their format is told in README.md).

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
from composed import anchors_of, parts, predictions_of
from golden_files import GoldenFiles
from literal_boundary import pad

from paa.experiment.parts import Components
from paa.structures import Anchors, Predictions, Targets

LEVELS = range(5)
Arrays = dict[str, np.ndarray]


_FILES = GoldenFiles("official")
folders, names, read = _FILES.folders, _FILES.names, _FILES.read


@cache
def sets_of(name: str) -> tuple[Arrays, torch.Tensor, torch.Tensor]:
    """Return the arrays of a file of boundaries, its ascending scores [S, M] float32 and valid [S, M]."""
    arrays = read(name)
    sets = [arrays["scores"][a:b] for a, b in pairwise(arrays["offsets"])]
    scores, valid = pad(sets, max(map(len, sets)))
    return arrays, scores.float(), valid


@dataclass
class Case:
    """One file: its arrays, what they give to the code under test, and that code.

    `leaves` carry gradients, as NCHW maps per level.
    """

    name: str
    arrays: Arrays
    built: Components
    anchors: Anchors
    sizes: torch.Tensor
    leaves: dict[str, list[torch.Tensor]]

    @property
    def predictions(self) -> Predictions:
        return predictions_of(self.leaves)

    @property
    def targets(self) -> Targets:
        spans = [slice(a, b) for a, b in pairwise(self.arrays["gt_offsets"])]
        return Targets.pad(
            [torch.from_numpy(self.arrays["gt_boxes"][s]) for s in spans],
            [torch.from_numpy(self.arrays["gt_labels"][s] - 1) for s in spans],
        )

    def gt_slices(self) -> list[tuple[int, int, int]]:
        """Return (image, index in the image, index in the file) of every ground truth."""
        offsets = self.arrays["gt_offsets"]
        return [(b, int(i - offsets[b]), i) for b in range(len(offsets) - 1) for i in range(offsets[b], offsets[b + 1])]

    def candidates(self, i: int) -> slice:
        """Return the slice of a ground truth in cand_anchor and cand_loss."""
        return slice(*self.arrays["cand_offsets"][i : i + 2])


def load(name: str, *overrides: str) -> Case:
    """Load a file of training, assignment or test, and build `compat=official` with these overrides for it."""
    arrays, built = read(name), parts("official", *overrides)
    sizes = torch.from_numpy(arrays["image_sizes"])
    padded = (int(arrays["padded_size"][0]), int(arrays["padded_size"][1]))
    anchors = anchors_of(built, sizes, padded)
    assert [list(s) for s in anchors.shapes] == arrays["grid_sizes"].tolist()
    leaves = {kind: [torch.from_numpy(m.copy()).requires_grad_() for m in maps] for kind, maps in _maps(arrays).items()}
    return Case(name, arrays, built, anchors, sizes, leaves)


def _maps(arrays: Arrays) -> dict[str, list[np.ndarray]]:
    """Return cls, reg and iou maps per level: stored (form 1), re-created from their recipe (form 2), or none."""
    if "recipe_seed" not in arrays:
        kinds = ("cls", "reg", "iou") if "cls_l0" in arrays else ()
        return {kind: [arrays[f"{kind}_l{level}"] for level in LEVELS] for kind in kinds}
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
