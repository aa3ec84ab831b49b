"""From a detector and test batches to the detections of a data set, at one scale or at many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from paa.anchors import AnchorGrid
from paa.auxiliary import Auxiliary
from paa.datasets.loader import ScaledBatch
from paa.evaluation import Results
from paa.multiscale import MultiScale, mirror_images
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
        selection = self.postprocess.select(predictions, anchors, batch.sizes, self.auxiliary, batch.original)
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
                rows[voting] += [self._row(one, batch, i) for i, one in enumerate(found)]
            on_images(len(batch.image_ids))
        return {voting: _joined(images) for voting, images in rows.items()}

    def scaled_results(
        self,
        batches: Iterable[ScaledBatch],
        scales: MultiScale,
        votings: Sequence[bool],
        on_images: Callable[[int], None] = lambda n: None,
    ) -> dict[bool, Results]:
        """Results of a multi-scale test over `batches`, whose scales are those of `scales`; the rest as `results`.

        `on_images` is called after each batch, with 0 until its images have been at all scales.
        """
        self.detector.eval()
        rows: dict[bool, list[list[Tensor]]] = {voting: [] for voting in votings}
        first: Batch | None = None
        for one in batches:
            batch = one.batch.to(self.device)
            if one.scale == 0:
                first = batch
                place = {image: i for i, image in enumerate(first.image_ids)}
                passes: dict[bool, list[list[Detections]]] = {v: [[] for _ in place] for v in votings}
            assert first is not None
            for mirrored in (False, True) if scales.mirror else (False,):
                for voting, found in self.detect(_mirrored(batch) if mirrored else batch, votings).items():
                    for i, image in enumerate(batch.image_ids):
                        at = place[image]
                        sizes = batch.sizes[i], first.sizes[at]
                        passes[voting][at].append(scales.back(found[i], one.scale, *sizes, mirrored))
            if one.last:
                for voting, of_images in passes.items():
                    rows[voting] += [self._row(scales.merged(p), first, i) for i, p in enumerate(of_images)]
            on_images(len(first.image_ids) if one.last else 0)
        return {voting: _joined(images) for voting, images in rows.items()}

    def _row(self, found: Detections, batch: Batch, i: int) -> list[Tensor]:
        """The columns of `Results` for image i of a batch."""
        boxes = to_original(found, batch.sizes[i], batch.original[i], self.postprocess.legacy)
        ids = torch.full((len(found),), batch.image_ids[i], dtype=torch.int64)
        return [ids, found.labels, boxes, found.scores, found.quality]


def _mirrored(batch: Batch) -> Batch:
    """The batch with its images mirrored; its targets, which no test reads, as they are."""
    return replace(batch, images=mirror_images(batch.images, batch.sizes))


def _joined(images: list[list[Tensor]]) -> Results:
    return Results.join([Results(*(column.cpu().numpy() for column in image)) for image in images])
