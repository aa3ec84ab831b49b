"""Error of the predicted IoU over assigned positives: what the head has learned, before anything is selected.

The other error, over detections (`coco.Evaluation.iou_error`), is of what NMS kept and ground truth confirmed: boxes
that are good for the most part. Here every anchor counts that the assigner makes positive, as in training (Eq. 7).

B images, A anchors.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from paa.assign import Assigner
from paa.assign.matching import gather_targets, non_empty
from paa.auxiliary import Auxiliary
from paa.boxes import BoxCoder
from paa.structures import Anchors, Batch, Predictions

Rows = list[tuple[int, int, float]]
"""Of each image its id, its positives, and the sum of their |predicted - true IoU|."""


class PositiveErrors:
    """Add up the errors of batches.

    assigner   of the training, called with progress 1 as at its end.
    coder      decodes the predicted deltas.
    auxiliary  the IoU prediction: gives the true IoU that it was trained for.
    """

    def __init__(self, assigner: Assigner, coder: BoxCoder, auxiliary: Auxiliary) -> None:
        self.assigner, self.coder, self.auxiliary = assigner, coder, auxiliary
        self.rows: Rows = []

    @torch.no_grad()
    def __call__(self, batch: Batch, predictions: Predictions, anchors: Anchors) -> None:
        """Add a batch with its ground truth, on the device of the predictions (whose auxiliary logit is there)."""
        assert predictions.auxiliary is not None
        assignment = self.assigner(anchors, predictions, batch.targets, 1.0)
        boxes, _ = gather_targets(non_empty(batch.targets), assignment.gt_index)
        decoded = self.coder.decode(predictions.deltas.float(), anchors.boxes)
        true = self.auxiliary.target(decoded, boxes, anchors.boxes)
        error = (predictions.auxiliary.float().sigmoid() - true).abs().where(assignment.positive, 0)
        counts, sums = assignment.positive.sum(1).tolist(), error.sum(1, dtype=torch.float64).tolist()
        self.rows += list(zip(batch.image_ids, counts, sums, strict=True))


def mean_error(rows: Iterable[tuple[int, int, float]]) -> tuple[float | None, int]:
    """Return (mean |predicted - true IoU| of all positives or None, how many); the same in any order of images."""
    ordered = sorted(rows)
    count = sum(number for _, number, _ in ordered)
    total = float(np.sum([error for _, _, error in ordered])) if ordered else 0.0
    return (total / count if count else None), count
