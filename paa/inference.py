"""From a detector and test batches to the detections of a data set, at one scale or at many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from paa.anchors import AnchorGrid
from paa.auxiliary import Auxiliary
from paa.datasets.loader import ScaledBatch
from paa.evaluation import Results
from paa.multiscale import MultiScale, mirror_images
from paa.postprocess import PostProcess, to_original
from paa.structures import Anchors, Batch, Detections, Predictions

Found = tuple[Batch, dict[bool, list[Detections]]]
"""A test batch and the detections on its images, in pixels of the network's input, by voting."""


@dataclass(frozen=True)
class Inference:
    """A detector with all that turns its predictions into detections.

    observe  is shown each batch, on the device, with its raw predictions and their anchors.
    pause    is called after each batch, at each scale; it may raise to end the inference.
    """

    detector: nn.Module
    grid: AnchorGrid
    postprocess: PostProcess
    auxiliary: Auxiliary
    device: torch.device
    observe: Callable[[Batch, Predictions, Anchors], None] | None = None
    pause: Callable[[], None] = lambda: None

    @torch.no_grad()
    def detect(self, batch: Batch, votings: Sequence[bool]) -> dict[bool, list[Detections]]:
        """Return the detections of each image for each of `votings`, in pixels of the network's input."""
        batch = batch.to(self.device)
        predictions, shapes = self.detector(batch.images)
        padded = (batch.images.shape[-2], batch.images.shape[-1])
        anchors = self.grid(shapes, batch.sizes, padded, self.device)
        if self.observe is not None:
            self.observe(batch, predictions, anchors)
        selection = self.postprocess.select(predictions, anchors, batch.sizes, self.auxiliary, batch.original)
        found = {voting: self.postprocess.finish(selection, voting) for voting in votings}
        self.pause()
        return found

    def results(self, batches: Iterable[Batch], votings: Sequence[bool]) -> dict[bool, Results]:
        """Return the results over all batches for each of `votings`.

        The network and NMS run once for all of them. The detector is left in evaluation mode.
        """
        return self._joined(((batch, self.detect(batch, votings)) for batch in batches), votings)

    def scaled_results(
        self, batches: Iterable[ScaledBatch], scales: MultiScale, votings: Sequence[bool]
    ) -> dict[bool, Results]:
        """Return the results of a multi-scale test over `batches`, whose scales are those of `scales`; as `results`."""
        return self._joined(self._merged(batches, scales, votings), votings)

    def _merged(self, batches: Iterable[ScaledBatch], scales: MultiScale, votings: Sequence[bool]) -> Iterator[Found]:
        """Yield each batch of scale 0 when its images have been at all scales."""
        for one in batches:
            batch = one.batch.to(self.device)
            if one.scale == 0:
                first = batch
                place = {image: i for i, image in enumerate(first.image_ids)}
                passes: dict[bool, list[list[Detections]]] = {v: [[] for _ in place] for v in votings}
            for mirrored in (False, True) if scales.mirror else (False,):
                for voting, found in self.detect(_mirrored(batch) if mirrored else batch, votings).items():
                    for i, image in enumerate(batch.image_ids):
                        at = place[image]
                        sizes = batch.sizes[i], first.sizes[at]
                        passes[voting][at].append(scales.back(found[i], one.scale, *sizes, mirrored))
            if one.last:
                yield first, {voting: [scales.merged(p) for p in of_images] for voting, of_images in passes.items()}

    def _joined(self, found: Iterable[Found], votings: Sequence[bool]) -> dict[bool, Results]:
        self.detector.eval()
        rows: dict[bool, list[Results]] = {voting: [] for voting in votings}
        for batch, of_voting in found:
            for voting, detections in of_voting.items():
                rows[voting] += [self._result(one, batch, i) for i, one in enumerate(detections)]
        return {voting: Results.join(images) for voting, images in rows.items()}

    def _result(self, found: Detections, batch: Batch, i: int) -> Results:
        """Return the detections on image i of a batch, in pixels of the original image."""
        boxes = to_original(found, batch.sizes[i], batch.original[i], self.postprocess.legacy)
        ids = torch.full((len(found),), batch.image_ids[i], dtype=torch.int64)
        columns = (ids, found.labels, boxes, found.scores, found.quality)
        return Results(*(column.cpu().numpy() for column in columns))


def _mirrored(batch: Batch) -> Batch:
    """Return the batch with its images mirrored; its targets, which no test reads, as they are."""
    return replace(batch, images=mirror_images(batch.images, batch.sizes))
