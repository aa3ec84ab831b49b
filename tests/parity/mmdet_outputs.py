"""Inputs and outputs of MMDetection's code as arrays: made where it is installed, stored in mmdet/ for the rest."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import mmdet_heads as heads
import numpy as np
from literal_assign import Image
from literal_rules import MMDET
from random_images import images_of

FOLDER = Path(__file__).resolve().parent / "mmdet"
Arrays = dict[str, np.ndarray]


def batch_of(seed: int, large: bool = False) -> tuple[list[Image], Arrays]:
    """Return a random batch and the arrays that store it; stored images are up to three times as large."""
    images = images_of(seed, MMDET, large, empty=True)
    return images, arrays_of(images, seed + 10**6)


def arrays_of(images: list[Image], seed: int) -> Arrays:
    """Return the arrays that store a batch; `seed` draws the sizes of the stored images."""
    draw = np.random.default_rng(seed)
    counts = [len(image.boxes) for image in images]
    return {
        "sizes": np.array([image.size for image in images]),
        "original": np.array([[round(side * draw.uniform(0.5, 3)) for side in image.size] for image in images]),
        "padded": np.array(images[0].padded),
        "gt_boxes": np.concatenate([image.boxes for image in images]),
        "gt_labels": np.concatenate([np.array(image.labels, np.int64) for image in images]),
        "gt_offsets": np.cumsum([0, *counts]),
        **{name: np.stack([getattr(image, name) for image in images]) for name in ("logits", "deltas", "quality")},
    }


def images_from(arrays: Arrays) -> list[Image]:
    """Return the batch that arrays store."""
    padded = tuple(arrays["padded"].tolist())
    return [
        Image(
            tuple(size),
            padded,
            arrays["gt_boxes"][start:end],
            arrays["gt_labels"][start:end].tolist(),
            *(arrays[name][b] for name in ("logits", "deltas", "quality")),
        )
        for b, (size, (start, end)) in enumerate(
            zip(arrays["sizes"].tolist(), pairwise(arrays["gt_offsets"]), strict=True)
        )
    ]


def labels_of_sets(arrays: Arrays) -> np.ndarray:
    """Return PAAHead's labels int8 for the sorted score sets of `arrays` (official/boundaries.npz), in float64."""
    sets = pairwise(arrays["offsets"])
    return np.concatenate([heads.separated(arrays["scores"][a:b].astype(np.float64)) for a, b in sets])


def outputs_of(images: list[Image], original: np.ndarray) -> Arrays:
    """Return MMDetection's outputs for a batch; `original` [B, 2] (h, w) of the stored images.

    gt_index, loss_X, slope_X    PAAHead.loss_by_feat, its mixtures fitted in float64; labels as in `Assignment`.
    float32                      gt_index with the mixtures fitted in float32, as released; -3 where that raises.
    plain_X, vote_X              PAAHead.predict_by_feat without and with score voting, boxes in the stored image.
    atss_gt_index                ATSSAssigner; atss_loss_X, atss_slope_X: ATSSHead.loss_by_feat.
    atss_X                       ATSSHead.predict_by_feat, X as of plain_X.
    iou_gt_index                 MaxIoUAssigner of RetinaNet.
    """
    classes = images[0].logits.shape[1]
    with heads.float64_mixtures():
        parts, slopes, index = heads.losses_of(heads.PAA, images, classes)
    try:
        released = heads.losses_of(heads.PAA, images, classes)[2]
    except ValueError:  # of scikit-learn: a covariance that float32 made negative
        released = np.full_like(index, -3)
    atss, atss_slopes, _ = heads.losses_of(heads.ATSS, images, classes)
    found: Arrays = {
        "gt_index": index.astype(np.int16),
        "float32": released.astype(np.int16),
        "atss_gt_index": heads.assigned_by(heads.ATSS, images).astype(np.int16),
        "iou_gt_index": heads.assigned_by(heads.BASELINE, images).astype(np.int16),
        **{f"loss_{part}": np.array(value) for part, value in parts.items()},
        **{f"atss_loss_{part}": np.array(value) for part, value in atss.items()},
        **{f"slope_{kind}": value for kind, value in slopes.items()},
        **{f"atss_slope_{kind}": value for kind, value in atss_slopes.items()},
    }
    sizes = [(int(h), int(w)) for h, w in original]
    for kind, name, voting in (("plain", heads.PAA, False), ("vote", heads.PAA, True), ("atss", heads.ATSS, False)):
        detections = heads.detections_of(name, images, sizes, classes, voting)
        found[f"{kind}_offsets"] = np.cumsum([0, *(len(one.scores) for one in detections)])
        for part in ("bboxes", "scores", "labels"):
            found[f"{kind}_{part}"] = np.concatenate([getattr(one, part).numpy() for one in detections])
    return found


def thinned(found: Arrays) -> Arrays:
    """Return the outputs to store: of each derivative the 200 largest and 100 others, with their indices."""
    kept = {key: value for key, value in found.items() if "slope_" not in key}
    for name in found.keys() - kept.keys():
        value = found[name].ravel()
        order = np.argsort(-np.abs(value), kind="stable")
        places = np.sort(np.concatenate((order[:200], order[200 :: max(1, len(order) // 100)])))
        kept |= {f"{name}_place": places.astype(np.int32), f"{name}_value": value[places]}
    return kept
