"""One optimiser step: network, assignment, losses, gradients. Nothing here leaves the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from paa.anchors import AnchorGrid
from paa.assign import Assigner
from paa.criterion import Criterion
from paa.structures import Anchors, Assignment, Batch, Predictions, Targets

NUMBERS = ("cls", "box", "aux", "positives", "ground_truths", "without_positive")
"""What `TrainingCore.losses` reports of a step, in this order."""


def split(batch: Batch, parts: int) -> list[Batch]:
    """The batch in `parts` of at most equal size, for gradient accumulation; the padding stays the whole batch's."""
    size = -(-len(batch.image_ids) // parts)
    out = []
    for low in range(0, len(batch.image_ids), size):
        s = slice(low, low + size)
        t = batch.targets
        targets = Targets(t.boxes[s], t.labels[s], t.valid[s])
        out.append(Batch(batch.images[s], batch.sizes[s], batch.original[s], targets, batch.image_ids[s]))
    return out


def without_positive(assignment: Assignment, targets: Targets) -> Tensor:
    """[] int64: ground truths of the batch that no anchor answers for."""
    index = assignment.gt_index.clamp(min=0)
    found = torch.zeros_like(targets.labels).scatter_add_(1, index, assignment.positive.to(torch.int64))
    return (targets.valid & (found == 0)).sum()


@dataclass
class TrainingCore:
    """Detector, anchors, assigner and criterion, joined.

    `accumulate` parts of a batch pass through the network one after another. The normalisers are those of the whole
    step, so the gradients are those of the whole batch; it costs one more forward pass without gradients.
    """

    detector: nn.Module
    grid: AnchorGrid
    assigner: Assigner
    criterion: Criterion
    accumulate: int = 1

    def predict(self, batch: Batch) -> tuple[Predictions, Anchors]:
        """Predictions and anchors of a batch on the detector's device."""
        predictions, shapes = self.detector(batch.images)
        padded = (batch.images.shape[-2], batch.images.shape[-1])
        return predictions, self.grid(shapes, batch.sizes, padded, batch.images.device)

    def losses(self, batch: Batch, progress: float) -> Tensor:
        """Backward through all losses of a step; returns [6] float32, detached, as NUMBERS names them."""
        if self.accumulate == 1:
            predictions, anchors = self.predict(batch)
            assignment = self.assigner(anchors, predictions, batch.targets, progress)
            parts = self.criterion(predictions, anchors, batch.targets, assignment)
            sum(parts.values(), torch.zeros((), device=batch.images.device)).backward()
            return self._numbers(parts, assignment, batch.targets)
        micro, assignments, statistics = split(batch, self.accumulate), [], []
        with torch.no_grad():
            for part in micro:
                predictions, anchors = self.predict(part)
                assignment = self.assigner(anchors, predictions, part.targets, progress)
                assignments.append(assignment)
                statistics.append(self.criterion.statistics(predictions, anchors, part.targets, assignment))
        whole, numbers = torch.stack(statistics).sum(0), []
        for part, assignment in zip(micro, assignments, strict=True):
            predictions, anchors = self.predict(part)
            parts = self.criterion(predictions, anchors, part.targets, assignment, statistics=whole)
            sum(parts.values(), torch.zeros((), device=part.images.device)).backward()
            numbers.append(self._numbers(parts, assignment, part.targets))
        return torch.stack(numbers).sum(0)

    @staticmethod
    def _numbers(parts: dict[str, Tensor], assignment: Assignment, targets: Targets) -> Tensor:
        zero = parts["cls"].new_zeros(())
        losses = [parts.get(name, zero).detach() for name in ("cls", "box", "aux")]
        counts = [assignment.positive.sum(), targets.valid.sum(), without_positive(assignment, targets)]
        return torch.stack([*losses, *(count.to(zero.dtype) for count in counts)])
