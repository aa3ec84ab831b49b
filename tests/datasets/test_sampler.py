from itertools import islice

import numpy as np
import pytest

from paa.checks import OutOfRange
from paa.datasets.rng import ORDER, Rng
from paa.datasets.sampler import TrainSampler


def sizes(count, wide, seed=0):
    """Heights and widths of `count` images of which the fraction `wide` is wider than high."""
    is_wide = np.random.RandomState(seed).rand(count) < wide
    return np.where(is_wide, 10, 20), np.where(is_wide, 20, 10 + 10 * (np.arange(count) % 2))


def literal(heights, widths, batch_size, seed, grouped, images, steps):
    """Queues filled image by image, epoch by epoch; a full queue is a batch."""
    queues, batches, epoch = {}, [], 0
    while len(batches) < steps:
        for at in Rng(ORDER, seed, epoch).permutation(len(images)).tolist():
            image = int(images[at])
            group = {"at_least": heights[image] >= widths[image], "above": heights[image] > widths[image]}.get(grouped)
            queue = queues.setdefault(group, [])
            queue.append((epoch, image))
            if len(queue) == batch_size:
                batches.append(queue[:])
                queue.clear()
        epoch += 1
    return batches[:steps]


@pytest.mark.parametrize(
    ("count", "wide", "batch_size", "grouped"),
    [
        (50, 0.3, 4, "at_least"),
        (50, 0.3, 4, "none"),
        (50, 0.3, 4, "above"),
        (7, 0.5, 16, "above"),
        (1, 0, 3, "at_least"),
        (64, 0, 16, "at_least"),
        (33, 0.9, 5, "at_least"),
    ],
)
def test_against_queues(count, wide, batch_size, grouped):
    heights, widths = sizes(count, wide)
    sampler = TrainSampler(heights, widths, batch_size, 3, grouped)
    expected = literal(heights, widths, batch_size, 3, grouped, np.arange(count), 60)
    assert list(islice(sampler.iter_from(0), 60)) == expected
    assert [next(sampler.iter_from(step)) for step in (59, 0, 31, 30)] == [expected[step] for step in (59, 0, 31, 30)]
    for start in (1, 17, 42):
        fresh = TrainSampler(heights, widths, batch_size, 3, grouped)
        assert list(islice(fresh.iter_from(start), 60 - start)) == expected[start:]


def test_every_image_once_an_epoch_and_batches_of_one_kind():
    heights, widths = sizes(61, 0.4)
    sampler = TrainSampler(heights, widths, 4, 0)
    seen = {}
    for batch in islice(sampler.iter_from(0), 61 * 5 // 4 + 4):
        assert len(batch) == 4
        assert len({heights[i] >= widths[i] for _, i in batch}) == 1
        for epoch, image in batch:
            seen.setdefault(epoch, []).append(image)
    for epoch in range(4):
        assert sorted(seen[epoch]) == list(range(61))


def test_only_the_images_asked_for():
    heights, widths = sizes(40, 0.5)
    images = np.array([3, 4, 8, 20, 21, 39])
    sampler = TrainSampler(heights, widths, 2, 1, images=images)
    expected = literal(heights, widths, 2, 1, "at_least", images, 30)
    assert list(islice(sampler.iter_from(0), 30)) == expected
    assert {i for batch in expected for _, i in batch} == set(images.tolist())


def test_order_depends_on_seed_and_epoch():
    heights, widths = sizes(100, 0)
    one, two = (TrainSampler(heights, widths, 100, seed) for seed in (0, 1))
    orders = [[i for _, i in next(sampler.iter_from(step))] for sampler in (one, two) for step in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_arguments_are_checked():
    heights, widths = sizes(4, 0)
    with pytest.raises(OutOfRange, match="batch_size=0"):
        TrainSampler(heights, widths, 0, 0)
    with pytest.raises(OutOfRange, match="seed=-1"):
        TrainSampler(heights, widths, 1, -1)
    with pytest.raises(OutOfRange, match="there must be an image to train on"):
        TrainSampler(heights, widths, 1, 0, images=np.array([], dtype=np.int64))
