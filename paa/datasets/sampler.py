"""Which images make up which training batch.

Images of a group (wider than high, or not) form one endless stream: the group's part of the permutation of epoch 0,
then of epoch 1, and so on. Batch k of a group is elements k B ... (k + 1) B - 1 of its stream, so that all batches are
full and what an epoch leaves over begins the next. A batch takes its turn when its last image comes up in the
permutation. All of it follows from (seed, epoch): any step can be asked for without the steps before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from paa import checks
from paa.datasets.rng import ORDER, Rng

Sample = tuple[int, int]
"""(epoch, position of the image in the index)."""

ASPECT_GROUPINGS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "at_least": np.greater_equal,
    "above": np.greater,
    "none": lambda heights, widths: np.zeros_like(heights),
}
"""{name: which images of these heights and widths are of the second form}."""


class TrainSampler:
    """Batches of the step-based training.

    heights, widths  [I] pixels of all images of the index.
    batch_size       images of a batch.
    seed             of the permutations, 0 ... 2**32 - 1.
    aspect_grouping  of what form images are apart from the others in batches of their own: "at_least", height >= width
                     (authors' code: H / W split at 1, `make_batch_data_sampler`); "above", height > width
                     (MMDetection's `AspectRatioBatchSampler`); "none", none.
    images           positions to train on; all where None.
    """

    def __init__(
        self,
        heights: np.ndarray,
        widths: np.ndarray,
        batch_size: int,
        seed: int,
        aspect_grouping: str = "at_least",
        images: np.ndarray | None = None,
    ) -> None:
        self.batch_size = checks.integer("batch_size", batch_size, low=1)
        self.seed = checks.integer("seed", seed, low=0, high=2**32 - 1)
        self.images = np.arange(len(heights)) if images is None else np.asarray(images, dtype=np.int64)
        if not len(self.images):
            raise checks.OutOfRange("images", "=[]: there must be an image to train on")
        heights, widths = np.asarray(heights)[self.images], np.asarray(widths)[self.images]
        self._group = ASPECT_GROUPINGS[checks.choice("aspect_grouping", aspect_grouping, tuple(ASPECT_GROUPINGS))](
            heights, widths
        ).astype(np.int64)
        self._sizes = [int((self._group == group).sum()) for group in range(2)]
        self._batches_of = lru_cache(maxsize=2)(self._make_batches)
        self._orders = lru_cache(maxsize=4)(self._make_orders)

    def epoch_of(self, step: int) -> int:
        """The epoch in which batch `step` becomes full."""
        checks.integer("step", step, low=0)
        return bisect_right(range((step + 1) * 2 * self.batch_size), step, key=lambda epoch: self._until(epoch + 1))

    def iter_from(self, step: int) -> Iterator[list[Sample]]:
        """Batches `step`, `step` + 1, ... without end."""
        epoch = self.epoch_of(step)
        at = step - self._until(epoch)
        while True:
            epochs, positions = self._batches_of(epoch)
            for row, image in zip(epochs[at:].tolist(), positions[at:].tolist(), strict=True):
                yield list(zip(row, image, strict=True))
            epoch, at = epoch + 1, 0

    def _until(self, epochs: int) -> int:
        """Batches that are full before epoch `epochs` begins."""
        return sum(epochs * size // self.batch_size for size in self._sizes)

    def _make_orders(self, epoch: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Per group: its images in the epoch's order, and when each comes up in the permutation of all."""
        order = Rng(ORDER, self.seed, epoch).permutation(len(self.images))
        groups = self._group[order]
        turns = [np.flatnonzero(groups == group) for group in range(2)]
        return [(self.images[order[turn]], turn) for turn in turns]

    def _make_batches(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Epochs and positions [n, B] of the batches that become full in `epoch`, in order."""
        epochs, positions, turns = [], [], []
        for group, size in enumerate(self._sizes):
            first, last = epoch * size // self.batch_size, (epoch + 1) * size // self.batch_size
            if last == first:
                continue
            elements = np.arange(first * self.batch_size, last * self.batch_size)
            begin = int(elements[0]) // size
            stream = np.concatenate([self._orders(e)[group][0] for e in range(begin, epoch + 1)])
            epochs.append((elements // size).reshape(-1, self.batch_size))
            positions.append(stream[elements - begin * size].reshape(-1, self.batch_size))
            ends = elements[self.batch_size - 1 :: self.batch_size] - epoch * size
            turns.append(self._orders(epoch)[group][1][ends])
        if not turns:
            empty = np.empty((0, self.batch_size), dtype=np.int64)
            return empty, empty
        order = np.argsort(np.concatenate(turns))
        return np.concatenate(epochs)[order], np.concatenate(positions)[order]
