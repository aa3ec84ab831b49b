import hashlib
import json
import multiprocessing
import subprocess
import sys
from itertools import chain

import numpy as np
import pytest
from PIL import Image
from shapes_reference import DIGEST, STATISTICS, digest_of_files, digest_of_scenes, scenes, statistics

from paa.datasets.errors import DataError
from paa.datasets.formats.sources import Custom, Shapes
from paa.datasets.shapes import generate as generator
from paa.datasets.shapes.generate import SPLIT_DIGESTS, SPLITS, Spec, generate

SMALL = Spec(seed=5, size=64, train=6, val=3, test=2)


def test_files_hold_what_was_drawn_in_a_layout_that_any_reader_takes(tmp_path):
    folder = generate(SMALL, tmp_path, quiet=True)
    assert folder == tmp_path / "shapes-v1-seed5-64px-6-3-2"
    custom = Custom(folder, cache_dir=tmp_path / "cache")
    assert custom.splits == SPLITS
    for split in SPLITS:
        index = custom.index(split)
        assert digest_of_files(index) == digest_of_scenes(SMALL, split)
        assert (index.areas == np.concatenate([s.areas for s in scenes(SMALL, split)])).all()
    assert index.image_ids.tolist() == [2000001, 2000002]
    stored = np.asarray(Image.open(folder / "images" / "val" / "000001.png"))
    assert np.array_equal(stored, list(scenes(SMALL, "val"))[1].pixels)


def test_default_name_and_committed_digests():
    assert Spec().name == "shapes-v1-seed0"
    assert hashlib.sha256("".join(SPLIT_DIGESTS[split] for split in SPLITS).encode()).hexdigest() == DIGEST


def test_what_is_there_is_not_drawn_again(tmp_path, monkeypatch):
    folder = generate(SMALL, tmp_path, quiet=True)
    monkeypatch.setattr(generator, "draw", None)
    assert generate(SMALL, tmp_path) == folder


def test_an_interrupted_generator_draws_the_whole_data_set_next_time(tmp_path, monkeypatch):
    real = generator.draw

    def failing(seed, split, index, size):
        if split == "val":
            raise KeyboardInterrupt
        return real(seed, split, index, size)

    monkeypatch.setattr(generator, "draw", failing)
    with pytest.raises(KeyboardInterrupt):
        generate(SMALL, tmp_path, quiet=True)
    monkeypatch.setattr(generator, "draw", real)
    assert not (tmp_path / SMALL.name / "complete.json").exists()
    assert_whole(generate(SMALL, tmp_path, quiet=True))


def assert_whole(folder):
    custom = Custom(folder, cache_dir=folder / "cache")
    assert all(digest_of_files(custom.index(split)) == digest_of_scenes(SMALL, split) for split in SPLITS)


KILLED = """
import os, signal, sys
from pathlib import Path
from paa.datasets.shapes import generate as generator

def draw(seed, split, index, size, real=generator.draw):
    if split == "val":
        print("drawing", flush=True)
        sys.stdin.readline()
    return real(seed, split, index, size)

generator.draw = draw
generator.generate(generator.Spec(seed=5, size=64, train=6, val=3, test=2), Path(sys.argv[1]), quiet=True)
"""
"""Draw the data set SMALL, and waits in the middle of it for a line on stdin."""


@pytest.fixture
def drawing(tmp_path):
    """A process that has drawn the half of SMALL below `tmp_path` and waits."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "drawing\n"
        yield process
        process.kill()


def test_what_a_killed_generator_left_is_drawn_whole(tmp_path, drawing):
    drawing.kill()
    drawing.wait()
    assert_whole(generate(SMALL, tmp_path, quiet=True))


def test_a_second_generator_waits_whatever_its_host_and_pid_are(tmp_path, drawing):
    """The second waits for the first, and takes what it made: a lock decides, no name of a machine or process."""
    context = multiprocessing.get_context("fork")
    second = context.Process(target=generate, args=(SMALL, tmp_path), kwargs={"quiet": True})
    second.start()
    second.join(0.2)
    assert second.is_alive()
    drawing.communicate("continue\n" * 3, timeout=60)
    second.join(60)
    assert (drawing.returncode, second.exitcode) == (0, 0)


def test_without_locks_two_generators_write_the_same_files(tmp_path, monkeypatch, drawing):
    monkeypatch.setattr(generator, "fcntl", None)
    folder = generate(SMALL, tmp_path, quiet=True)
    drawing.communicate("continue\n" * 3, timeout=60)
    assert drawing.returncode == 0
    assert_whole(folder)


DAMAGE = {
    "an image is deleted": ("images/train/000004.png", None),
    "an image is truncated": ("images/val/000001.png", 20),
    "annotations are deleted": ("annotations/test.json", None),
    "annotations are truncated": ("annotations/train.json", 5),
}


@pytest.mark.parametrize(("name", "size"), DAMAGE.values(), ids=DAMAGE)
def test_what_is_lost_is_drawn_again_before_it_is_missed(tmp_path, name, size):
    file = generate(SMALL, tmp_path, quiet=True) / name
    content, times = file.read_bytes(), {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.png")}
    file.unlink()
    if size is not None:
        file.write_bytes(content[:size])
    source = Shapes(tmp_path, seed=5, size=64, train=6, val=3, test=2)
    source.prepare(quiet=True)
    assert file.read_bytes() == content
    assert {p for p, time in times.items() if p.stat().st_mtime_ns != time} <= {file}


def test_generators_at_the_same_time_agree(tmp_path):
    context = multiprocessing.get_context("fork")
    crew = [context.Process(target=generate, args=(SMALL, tmp_path), kwargs={"quiet": True}) for _ in range(4)]
    for process in crew:
        process.start()
    for process in crew:
        process.join()
    assert [process.exitcode for process in crew] == [0] * 4


@pytest.mark.parametrize("marker", ["", json.dumps({"version": 0})], ids=["empty", "another version"])
def test_a_folder_in_its_place_is_refused(tmp_path, marker):
    place = tmp_path / SMALL.name
    place.mkdir()
    (place / "complete.json").write_text(marker)
    with pytest.raises(DataError, match=f"{SMALL.name}: not a complete data set .* move it away"):
        generate(SMALL, tmp_path, quiet=True)


@pytest.mark.slow
def test_the_whole_default_set_is_the_committed_one(tmp_path):
    source = Shapes(tmp_path)
    source.prepare(quiet=True)
    assert {split: digest_of_files(source.index(split)) for split in SPLITS} == SPLIT_DIGESTS
    assert statistics(chain.from_iterable(scenes(Spec(), split) for split in SPLITS)) == STATISTICS
