"""One optimizer step: network, assignment, losses, gradients. Nothing here leaves the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from paa.anchors import AnchorGrid
from paa.assign import Assigner
from paa.criterion import Criterion
from paa.engine.distributed import SINGLE_PROCESS, ProcessGroup
from paa.engine.precision import Precision
from paa.structures import Anchors, Assignment, Batch, Predictions, Targets

NUMBERS = ("cls", "box", "aux", "positives", "ground_truths", "without_positive")
"""What `TrainingCore.losses` reports of a step, in this order."""


def split(batch: Batch, parts: int) -> list[Batch]:
    """Split the batch into `parts` of at most equal size, for gradient accumulation; the padding stays the batch's."""
    size = -(-len(batch.image_ids) // parts)
    out = []
    for low in range(0, len(batch.image_ids), size):
        s = slice(low, low + size)
        t = batch.targets
        targets = Targets(t.boxes[s], t.labels[s], t.valid[s])
        out.append(Batch(batch.images[s], batch.sizes[s], batch.original[s], targets, batch.image_ids[s]))
    return out


def without_positive(assignment: Assignment, targets: Targets) -> Tensor:
    """Return [] int64: ground truths of the batch without a positive anchor."""
    index = assignment.gt_index.clamp(min=0)
    found = torch.zeros_like(targets.labels).scatter_add_(1, index, assignment.positive.to(torch.int64))
    return (targets.valid & (found == 0)).sum()


@dataclass
class TrainingCore:
    """Join detector, anchors, assigner and criterion.

    accumulate  parts of a batch that pass through the network one after another. The normalizers are those of the whole
                step, so the gradients are those of the whole batch; it costs one more forward pass without gradients.
    precision   of the network's forward pass; predictions leave it as float32.
    group       the processes that share the step: each has its share of the batch, padded as the whole batch is.
    network     what is called in place of `detector` (a compiled one, with the same parameters); None: the detector.
    """

    detector: nn.Module
    grid: AnchorGrid
    assigner: Assigner
    criterion: Criterion
    accumulate: int = 1
    precision: Precision = field(default_factory=Precision)
    group: ProcessGroup = SINGLE_PROCESS
    network: Callable[..., Any] | None = None
    _trained: list[Tensor] | None = None

    def predict(self, batch: Batch) -> tuple[Predictions, Anchors]:
        """Return predictions (float32) and anchors of a batch on the detector's device."""
        with self.precision.network():
            network = self.detector if self.network is None else self.network  # a compiled module has no truth value
            predictions, shapes = network(batch.images)
        auxiliary = None if predictions.auxiliary is None else predictions.auxiliary.float()
        predictions = Predictions(predictions.logits.float(), predictions.deltas.float(), auxiliary)
        padded = (batch.images.shape[-2], batch.images.shape[-1])
        return predictions, self.grid(shapes, batch.sizes, padded, batch.images.device)

    def losses(self, batch: Batch, progress: float) -> Tensor:
        """Run backward through all losses of a step; return [6] float32, detached, as NUMBERS names them.

        Each process has its share of the batch; numbers and gradients are those of the whole batch.
        """
        numbers = self._whole(batch, progress) if self.accumulate == 1 else self._in_parts(batch, progress)
        if self.group.size > 1:
            if self._trained is None:
                self._trained = self.group.with_gradient(self.detector.parameters())
            self.group.all_reduce_gradients(self._trained)
        return self.group.all_reduce(numbers)

    def _whole(self, batch: Batch, progress: float) -> Tensor:
        predictions, anchors = self.predict(batch)
        assignment = self.assigner(anchors, predictions, batch.targets, progress)
        statistics, factor = None, None
        if self.group.size > 1:
            own = self.criterion.statistics(predictions, anchors, batch.targets, assignment)
            statistics, factor = self._of_step(own)
        parts = self.criterion(predictions, anchors, batch.targets, assignment, statistics=statistics)
        return self._backward(parts, factor, assignment, batch.targets)

    def _in_parts(self, batch: Batch, progress: float) -> Tensor:
        micro, assignments, counts = split(batch, self.accumulate), [], []
        with torch.no_grad():
            for part in micro:
                predictions, anchors = self.predict(part)
                assignment = self.assigner(anchors, predictions, part.targets, progress)
                assignments.append(assignment)
                counts.append(self.criterion.statistics(predictions, anchors, part.targets, assignment))
        statistics, factor = self._of_step(torch.stack(counts).sum(0))
        numbers = []
        for part, assignment in zip(micro, assignments, strict=True):
            predictions, anchors = self.predict(part)
            parts = self.criterion(predictions, anchors, part.targets, assignment, statistics=statistics)
            numbers.append(self._backward(parts, factor, assignment, part.targets))
        return torch.stack(numbers).sum(0)

    def _of_step(self, own: Tensor) -> tuple[Tensor, Tensor | None]:
        """The statistics that normalize this process's losses, and the factor of these losses in the step's, or None.

        Gradients are added up over processes. With the statistics of the whole batch that is the gradient of the whole
        batch, on any number of processes; the floors of the normalizers are then those of the batch, too. With its own
        statistics (normalizer_sync=per_process) each process has a mean, which counts by its share of the images.
        """
        if self.group.size == 1:
            return own, None
        every = self.group.all_reduce(own.clone())
        if self.criterion.normalizer_sync == "per_process":
            return own, own[2] / every[2]
        return every, None

    def _backward(
        self, parts: dict[str, Tensor], factor: Tensor | None, assignment: Assignment, targets: Targets
    ) -> Tensor:
        if factor is not None:
            parts = {name: loss * factor for name, loss in parts.items()}
        zero = next(iter(parts.values())).new_zeros(())
        self.precision.backward(sum(parts.values(), zero))
        return self._numbers(parts, assignment, targets)

    @staticmethod
    def _numbers(parts: dict[str, Tensor], assignment: Assignment, targets: Targets) -> Tensor:
        zero = parts["cls"].new_zeros(())
        losses = [parts.get(name, zero).detach() for name in ("cls", "box", "aux")]
        counts = [assignment.positive.sum(), targets.valid.sum(), without_positive(assignment, targets)]
        return torch.stack([*losses, *(count.to(zero.dtype) for count in counts)])
