"""Batches from an index: the same, bit for bit, on any number of worker processes.

An image's randomness depends only on (seed, epoch, its position), and the order of batches only on the sampler, so it
does not matter which process prepares what. Of several processes that train together each gets its share of every
batch, padded to the size that the whole batch has: GroupNorm sees the padding, and the same images must give the same
losses.
"""

# ruff: noqa: PT028  `test_batches` is no test

from __future__ import annotations

import atexit
import multiprocessing
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from paa import checks
from paa.checks import UserError
from paa.datasets.errors import DataError
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.images import decode
from paa.datasets.rng import AUGMENT, Rng
from paa.datasets.sampler import Sample, TrainSampler
from paa.datasets.targets import TrainingBoxes, training_boxes
from paa.datasets.transforms import Transform, pad
from paa.structures import Batch, Targets

_TEST = -1  # the epoch of a test image, which draws nothing; of those at scale k it is -1 - k

_WORKERS: weakref.WeakSet[Any] = weakref.WeakSet()


@dataclass(frozen=True)
class _Images(Dataset[Any]):
    """The images of an index, prepared by the first of `transforms`, in a test by the one of their scale."""

    index: CocoIndex
    truths: TrainingBoxes
    transforms: Sequence[Transform]
    seed: int
    share: Callable[[int], slice] | None = None

    def __getitems__(self, samples: Sequence[Sample]) -> tuple[Tensor, list[np.ndarray], tuple[int, ...]] | DataError:
        """Prepare a batch, or this process's share of it, for transit between processes.

        Only the images travel as a tensor, through shared memory; the small rest travels by value and so holds no file
        descriptor, however many batches a caller keeps.
        """
        room = (1, 1)
        if self.share is not None:
            room_h, room_w = zip(*(self._size(sample) for sample in samples), strict=True)
            room, samples = (max(room_h), max(room_w)), samples[self.share(len(samples))]
        try:
            images, boxes, labels, original = zip(*(self._item(sample) for sample in samples), strict=True)
        except DataError as error:
            return error  # raised there, it would arrive with the worker's traceback
        targets = Targets.pad(list(boxes), list(labels))
        sizes = np.array([[image.shape[1:] for image in images], original], dtype=np.int64)
        arrays = [*sizes, targets.boxes.numpy(), targets.labels.numpy(), targets.valid.numpy()]
        return pad(images, room=room), arrays, tuple(int(self.index.image_ids[i]) for _, i in samples)

    def _item(self, sample: Sample) -> tuple[Tensor, Tensor, Tensor, tuple[int, int]]:
        """Input, boxes, labels and stored (height, width) of an image."""
        image = decode(self.index, sample[1])
        boxes, labels = self.truths.of(sample[1])
        pixels, boxes = self._transform(sample)(image, boxes, self._rng(sample))
        return pixels, boxes, labels, (image.height, image.width)

    def _size(self, sample: Sample) -> tuple[int, int]:
        height, width = int(self.index.heights[sample[1]]), int(self.index.widths[sample[1]])
        return self._transform(sample).size(height, width, self._rng(sample))

    def _transform(self, sample: Sample) -> Transform:
        return self.transforms[max(_TEST - sample[0], 0)]

    def _rng(self, sample: Sample) -> Rng | None:
        epoch, i = sample
        return None if epoch <= _TEST else Rng(AUGMENT, self.seed, epoch, i)


def _unchanged(batch: Any) -> Any:
    """Stand in for DataLoader's collate function: `__getitems__` gives whole batches."""
    return batch


def train_batches(
    index: CocoIndex,
    transform: Transform,
    sampler: TrainSampler,
    *,
    start_step: int = 0,
    steps: int,
    workers: int = 0,
    truths: TrainingBoxes | None = None,
    pin_memory: bool = False,
    share: Callable[[int], slice] | None = None,
) -> Iterator[Batch]:
    """Return training batches `start_step` ... `steps` - 1 of the sampler.

    truths      the boxes to train on; `training_boxes(index, legacy=transform.legacy)` where None.
    workers     processes that prepare batches, started by this call; 0: the caller's own.
    pin_memory  page-locks images on their way to a GPU.
    share       which of so many images of a batch this process gets, of several that train together; None: all.
    Iterating raises DataError, one line with file and id, for an image that cannot be read.
    """
    checks.integer("steps", steps, low=0)
    checks.integer("start_step", start_step, low=0, high=steps)
    data = _Images(index, truths or training_boxes(index, legacy=transform.legacy), [transform], sampler.seed, share)
    return _run(data, islice(sampler.iter_from(start_step), steps - start_step), workers, pin_memory)


def test_batches(
    index: CocoIndex,
    transform: Transform,
    batch_size: int,
    *,
    workers: int = 0,
    truths: TrainingBoxes | None = None,
    part: slice = slice(None),
) -> Iterator[Batch]:
    """Return every image of `index` once, not mirrored; wide images first, then the others, so that little is padded.

    The last batch of either kind may be smaller. part: which of the batches, of several processes that evaluate
    together. Other arguments and errors as `train_batches`.
    """
    data = _Images(index, truths or training_boxes(index, legacy=transform.legacy), [transform], 0)
    return _run(data, [[(_TEST, i) for i in images] for images in _chunks(index, batch_size)[part]], workers)


@dataclass(frozen=True)
class ScaledBatch:
    """A test batch at one of several scales, 0 the first; `last`, whether its images have then been at all of them."""

    batch: Batch
    scale: int
    last: bool


def scaled_batches(
    index: CocoIndex,
    transforms: Sequence[Transform],
    batch_size: int,
    *,
    workers: int = 0,
    part: slice = slice(None),
) -> Iterator[ScaledBatch]:
    """The batches of `test_batches` by the first transform, and after each the same images by each of the others.

    At scales where so many pixels would be more than the first batch has, the images come in several batches: no scale
    needs more memory than the first, but where a single image does. Other arguments and errors as `test_batches`.
    """
    plan = [batch for images in _chunks(index, batch_size)[part] for batch in _at_all_scales(index, transforms, images)]
    data = _Images(index, training_boxes(index, legacy=transforms[0].legacy), transforms, 0)
    batches = _run(data, [[(_TEST - scale, i) for i in images] for scale, images, _ in plan], workers)
    for (scale, _, last), batch in zip(plan, batches, strict=True):
        yield ScaledBatch(batch, scale, last)


def _at_all_scales(
    index: CocoIndex, transforms: Sequence[Transform], images: Sequence[int]
) -> list[tuple[int, list[int], bool]]:
    """(scale, positions of images, whether it is the last) of each batch of these images."""
    room, found = 0, []
    for scale, transform in enumerate(transforms):
        sizes = [transform.size(int(index.heights[i]), int(index.widths[i])) for i in images]
        room = room or _pixels(sizes)
        start = 0
        for end in range(1, len(images) + 1):
            if end == len(images) or _pixels(sizes[start : end + 1]) > room:
                found.append((scale, list(images[start:end]), scale == len(transforms) - 1 and end == len(images)))
                start = end
    return found


def _pixels(sizes: Sequence[tuple[int, int]]) -> int:
    """Pixels of a batch of images of these sizes (h, w), padding and all."""
    height, width = (-(-max(side) // 32) * 32 for side in zip(*sizes, strict=True))
    return height * width * len(sizes)


def test_order(index: CocoIndex) -> np.ndarray:
    """Image ids [I] in the order in which `test_batches` gives the images."""
    return index.image_ids[np.concatenate(_by_form(index))]


def _chunks(index: CocoIndex, batch_size: int) -> list[list[int]]:
    """Positions of the images of each test batch."""
    checks.integer("batch_size", batch_size, low=1)
    return [
        group[at : at + batch_size].tolist() for group in _by_form(index) for at in range(0, len(group), batch_size)
    ]


def _by_form(index: CocoIndex) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the wide images, and of the others."""
    return np.flatnonzero(index.heights < index.widths), np.flatnonzero(index.heights >= index.widths)


test_batches.__test__ = test_order.__test__ = False  # type: ignore[attr-defined]  # pytest takes the names for tests'


class WorkerDied(UserError):  # noqa: N818
    """A process that prepares batches was killed from outside."""

    def __init__(self) -> None:
        super().__init__(
            "a data loader worker was killed, as Linux does when memory runs out (fewer `workers` or a smaller"
            " images.train.longest need less)"
        )


def _run(data: _Images, batches: Iterable[list[Sample]], workers: int, pin_memory: bool = False) -> Iterator[Batch]:
    checks.integer("workers", workers, low=0)
    loader = DataLoader(
        data,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_unchanged,
        pin_memory=pin_memory,
        worker_init_fn=_quiet_worker,
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
        generator=torch.Generator(),  # else starting workers would draw from the training's own random state
    )
    before = set(multiprocessing.active_children())
    with _signals_held():
        arriving = iter(loader)
    if workers and hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread():
        # torch's handler would raise immediately, in the middle of a step; without it the next batch does, in seconds.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _WORKERS.update(set(multiprocessing.active_children()) - before)
    return _unpacked(arriving)


@atexit.register
def _end_workers() -> None:
    """End workers that an exception kept alive: at its exit Python would send them SIGTERM, which they ignore, and wait
    forever.
    """
    for worker in _WORKERS & set(multiprocessing.active_children()):
        worker.kill()


_ENDING = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)}
"""The signals with which a run is ended or asked to save."""


@contextmanager
def _signals_held() -> Iterator[None]:
    """Block those signals in this thread, and in processes that it starts, until the block ends: one that came to a
    worker before `_quiet_worker` had run would end it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _quiet_worker(_: int) -> None:
    """Use one thread, and ignore the signals with which a run is ended or asked to save: its main process handles them,
    and needs its workers for the step that it finishes. A worker ends when its main process does, however that ends.
    """
    torch.set_num_threads(1)
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)  # what came meanwhile is ignored


def _unpacked(arriving: Iterator[Any]) -> Iterator[Batch]:
    try:
        for content in arriving:
            if isinstance(content, DataError):
                raise content
            images, arrays, ids = content
            sizes, original, *targets = map(torch.from_numpy, arrays)
            yield Batch(images, sizes, original, Targets(*targets), ids)
    except RuntimeError as error:
        if "DataLoader worker" in str(error):
            raise WorkerDied from error
        raise
    finally:
        del arriving  # ends the workers now: the traceback of an error would keep them for as long as it lives
