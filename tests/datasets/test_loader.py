import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from coco_files import content, write

from paa.datasets.errors import ImageError
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.formats.sources import Custom, Shapes
from paa.datasets.images import decode
from paa.datasets.loader import scaled_batches, train_batches
from paa.datasets.loader import test_batches as all_batches
from paa.datasets.rng import AUGMENT, Rng
from paa.datasets.sampler import TrainSampler
from paa.datasets.targets import training_boxes
from paa.datasets.transforms import Transform


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> CocoIndex:
    source = Shapes(tmp_path_factory.mktemp("shapes"), train=30, val=1, test=1, size=64)
    source.prepare(quiet=True)
    return source.index("train")


@pytest.fixture(scope="module")
def tiny(shared) -> CocoIndex:
    return Custom(shared / "data" / "coco_tiny100").index("train")


def sampler_of(index, batch_size, seed=0):
    return TrainSampler(index.heights, index.widths, batch_size, seed)


def same(a, b) -> bool:
    return (
        torch.equal(a.images, b.images)
        and torch.equal(a.sizes, b.sizes)
        and torch.equal(a.original, b.original)
        and torch.equal(a.targets.boxes, b.targets.boxes)
        and torch.equal(a.targets.labels, b.targets.labels)
        and torch.equal(a.targets.valid, b.targets.valid)
        and a.image_ids == b.image_ids
    )


MANY = Transform(short=[80, 112], longest=150, resize="truncate", legacy=True)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ["shapes", "tiny"])
def test_batches_are_bit_equal_on_any_number_of_workers(name, workers, request):
    index = request.getfixturevalue(name)
    transform = Transform() if name == "shapes" else MANY
    alone, crew = (
        list(train_batches(index, transform, sampler_of(index, 4), steps=14, workers=count)) for count in (0, workers)
    )
    assert len(alone) == len(crew) == 14
    assert all(same(a, b) for a, b in zip(alone, crew, strict=True))
    alone, crew = (list(all_batches(index, transform, 4, workers=count)) for count in (0, workers))
    assert all(same(a, b) for a, b in zip(alone, crew, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_starting_at_a_step_gives_the_batches_from_there(shapes, workers):
    whole = list(train_batches(shapes, Transform(), sampler_of(shapes, 4), steps=20))
    rest = list(train_batches(shapes, Transform(), sampler_of(shapes, 4), start_step=13, steps=20, workers=workers))
    assert len(rest) == 7
    assert all(same(a, b) for a, b in zip(whole[13:], rest, strict=True))


def test_an_image_is_what_its_seed_epoch_and_position_make_of_it(tiny):
    sampler, truths = sampler_of(tiny, 3, seed=9), training_boxes(tiny, legacy=True)
    for step, batch in enumerate(train_batches(tiny, MANY, sampler, steps=20)):
        for place, (epoch, i) in enumerate(next(sampler.iter_from(step))):
            boxes, labels = truths.of(i)
            image, boxes = MANY(decode(tiny, i), boxes, Rng(AUGMENT, 9, epoch, i))
            h, w = image.shape[1:]
            assert batch.image_ids[place] == tiny.image_ids[i]
            assert batch.sizes[place].tolist() == [h, w]
            assert batch.original[place].tolist() == [tiny.heights[i], tiny.widths[i]]
            assert torch.equal(batch.images[place, :, :h, :w], image)
            assert not batch.images[place, :, h:].any()
            assert not batch.images[place, :, :, w:].any()
            valid = batch.targets.valid[place]
            assert torch.equal(batch.targets.boxes[place, valid], boxes)
            assert torch.equal(batch.targets.labels[place, valid], labels)
        assert batch.images.shape[2] % 32 == batch.images.shape[3] % 32 == 0
        assert batch.images.dtype == torch.float32


def test_augmentation_differs_between_epochs_and_seeds(shapes):
    def views(seed, steps):
        batches = train_batches(shapes, Transform(flip=0.5), sampler_of(shapes, 30, seed), steps=steps)
        return [{i: batch.images[k] for k, i in enumerate(batch.image_ids)} for batch in batches]

    first, second = views(0, 2)
    (other,) = views(1, 1)
    for a in (second, other):
        moved = sum(not torch.equal(first[i], a[i]) for i in first)
        assert 5 <= moved <= 25


def test_every_image_is_tested_once(tiny):
    batches = list(all_batches(tiny, Transform(short=64, longest=100), 4))
    assert sorted(i for batch in batches for i in batch.image_ids) == tiny.image_ids.tolist()
    for batch in batches:
        assert len(set((batch.original[:, 0] >= batch.original[:, 1]).tolist())) == 1
    assert sum(int(batch.targets.valid.sum()) for batch in batches) == len(training_boxes(tiny).boxes)


@pytest.mark.parametrize("workers", [0, 1])
def test_every_image_is_tested_once_at_each_scale(tiny, workers):
    scales = [Transform(short=64, longest=100), Transform(short=40, longest=60), Transform(short=128, longest=300)]
    plain = list(all_batches(tiny, scales[0], 8))
    every = list(scaled_batches(tiny, scales, 8, workers=workers))
    assert all(same(e.batch, first) for e, first in zip((e for e in every if e.scale == 0), plain, strict=True))
    ends = [i for i, one in enumerate(every, 1) if one.last]
    assert len(ends) == len(plain)
    for first, start, end in zip(plain, [0, *ends[:-1]], ends, strict=True):
        some, room = every[start:end], first.images.numel()
        assert [one.scale for one in some] == sorted(one.scale for one in some)
        for scale, transform in enumerate(scales):
            at = [one.batch for one in some if one.scale == scale]
            assert tuple(i for batch in at for i in batch.image_ids) == first.image_ids
            assert all(batch.images.numel() <= room or len(batch.image_ids) == 1 for batch in at)
            wanted = [transform.size(int(h), int(w)) for h, w in first.original]
            assert [tuple(size) for batch in at for size in batch.sizes.tolist()] == wanted
        counts = [sum(one.scale == scale for one in some) for scale in range(3)]
        assert counts[:2] == [1, 1]
        assert counts[2] >= len(first.image_ids) / 3
    part = list(scaled_batches(tiny, scales, 8, part=slice(1, None, 2)))
    assert [one.batch.image_ids for one in part if one.scale == 0] == [batch.image_ids for batch in plain[1::2]]
    assert part[-1].last


def test_an_image_without_boxes(tmp_path):
    index = CocoIndex.read(write(tmp_path, content()), tmp_path / "images")
    (batch,) = all_batches(index.subset(np.array([1])), Transform(), 4)
    assert batch.targets.boxes.shape == (1, 1, 4)
    assert not batch.targets.valid.any()


def test_the_training_s_random_state_is_left_alone(shapes):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for workers in (0, 1):
        list(islice(train_batches(shapes, Transform(), sampler_of(shapes, 2), steps=3, workers=workers), 2))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text", "wrong size"])
def test_a_broken_image_is_one_line_with_file_and_id(tmp_path, workers, damage):
    index = CocoIndex.read(write(tmp_path, content()), tmp_path / "images")
    path, message = tmp_path / "images" / "b.png", "cannot be decoded"
    if damage == "missing":
        path.unlink()
        message = "no such file"
    elif damage == "wrong size":
        index = replace(index, widths=index.widths + np.array([0, 1, 0]))
        message = "is 50 x 50 pixels, but .* states 51 x 50"
    else:
        keep = {"empty": b"", "truncated": path.read_bytes()[:900], "text": b"<html></html>"}[damage]
        path.write_bytes(keep)
    with pytest.raises(ImageError, match=message) as caught:
        list(train_batches(index, Transform(), sampler_of(index, 1), steps=6, workers=workers))
    line = str(caught.value)
    assert line.startswith(str(path))
    assert "image id 20" in line
    assert "\n" not in line


def _children() -> set[int]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return {int(pid) for pid in file.read().split()}


@pytest.mark.skipif(
    not os.path.exists(f"/proc/self/task/{os.getpid()}/children"), reason="this system does not list child processes"
)
def test_workers_are_deaf_to_signals_and_end_with_their_batches(shapes):
    others = _children()  # of other tests in this process
    batches = train_batches(shapes, Transform(), sampler_of(shapes, 2), steps=12, workers=2)
    next(batches)
    mine = _children() - others
    assert len(mine) == 2
    for pid in mine:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(pid, number)
    assert len(list(batches)) == 11
    batches = train_batches(shapes, Transform(), sampler_of(shapes, 2), steps=100, workers=2)
    next(batches)
    del batches
    assert _children() <= others


def test_workers_can_be_forked_after_threads_have_run_and_many_batches_kept(shapes):
    """With two threads at work in the parent, and more batches kept than a process may have files."""
    script = """
        import resource, sys, torch
        resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
        torch.set_num_threads(2)
        (torch.rand(900, 900) @ torch.rand(900, 900)).sum()
        from paa.datasets.formats.coco_index import CocoIndex
        from paa.datasets.loader import train_batches
        from paa.datasets.sampler import TrainSampler
        from paa.datasets.transforms import Transform
        index = CocoIndex.read(sys.argv[1], sys.argv[2])
        sampler = TrainSampler(index.heights, index.widths, 1, 0)
        kept = []
        for batch in train_batches(index, Transform(), sampler, steps=200, workers=2):
            (torch.rand(300, 300) @ torch.rand(300, 300)).sum()
            kept.append((batch.sizes, batch.original, batch.targets, batch.image_ids))
        print(len(kept))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(shapes.path), str(shapes.image_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "200\n", done.stderr
