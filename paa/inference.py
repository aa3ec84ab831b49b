"""From a detector and test batches to the detections of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from paa.anchors import AnchorGrid
from paa.auxiliary import Auxiliary
from paa.evaluation import Results
from paa.postprocess import PostProcess, to_original
from paa.structures import Anchors, Batch, Detections, Predictions


@dataclass(frozen=True)
class Inference:
    """A detector with all that turns its predictions into detections.

    observe  is shown each batch, on the device, with its raw predictions and their anchors.
    """

    detector: nn.Module
    grid: AnchorGrid
    postprocess: PostProcess
    auxiliary: Auxiliary
    device: torch.device
    observe: Callable[[Batch, Predictions, Anchors], None] | None = None

    @torch.no_grad()
    def detect(self, batch: Batch, votings: Sequence[bool]) -> dict[bool, list[Detections]]:
        """Detections of each image, in pixels of the network's input, without and with voting as `votings` asks."""
        batch = batch.to(self.device)
        predictions, shapes = self.detector(batch.images)
        padded = (batch.images.shape[-2], batch.images.shape[-1])
        anchors = self.grid(shapes, batch.sizes, padded, self.device)
        if self.observe is not None:
            self.observe(batch, predictions, anchors)
        selection = self.postprocess.select(predictions, anchors, batch.sizes, self.auxiliary)
        return {voting: self.postprocess.finish(selection, voting) for voting in votings}

    def results(
        self, batches: Iterable[Batch], votings: Sequence[bool], on_images: Callable[[int], None] = lambda n: None
    ) -> dict[bool, Results]:
        """Results over all batches for each of `votings`; `on_images(n)` is called after each n images.

        The network and NMS run once for all of them. The detector is left in evaluation mode.
        """
        self.detector.eval()
        rows: dict[bool, list[list[Tensor]]] = {voting: [] for voting in votings}
        for batch in batches:
            for voting, found in self.detect(batch, votings).items():
                for i, one in enumerate(found):
                    boxes = to_original(one, batch.sizes[i], batch.original[i], self.postprocess.legacy)
                    ids = torch.full((len(one),), batch.image_ids[i], dtype=torch.int64)
                    rows[voting].append([ids, one.labels, boxes, one.scores, one.quality])
            on_images(len(batch.image_ids))
        return {voting: _joined(images) for voting, images in rows.items()}


def _joined(images: list[list[Tensor]]) -> Results:
    return Results.join([Results(*(column.cpu().numpy() for column in image)) for image in images])
