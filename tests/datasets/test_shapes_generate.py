import hashlib
import json
import multiprocessing
import os
import socket
from itertools import chain

import numpy as np
import pytest
from PIL import Image

from paa.datasets.errors import DataError
from paa.datasets.formats.sources import Custom, Shapes
from paa.datasets.shapes import generate as generator
from paa.datasets.shapes.generate import SPLITS, Spec, digest_of_scenes, generate, scenes
from paa.datasets.shapes.golden import DIGEST, SPLIT_DIGESTS, STATISTICS
from paa.datasets.shapes.statistics import digest_of_files, statistics

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


def test_a_generator_that_is_cut_off_leaves_nothing(tmp_path, monkeypatch):
    real = generator.draw

    def failing(seed, split, index, size):
        if split == "val":
            raise KeyboardInterrupt
        return real(seed, split, index, size)

    monkeypatch.setattr(generator, "draw", failing)
    with pytest.raises(KeyboardInterrupt):
        generate(SMALL, tmp_path, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_generator_left_is_cleared_and_a_living_ones_is_not(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=os.getpid)
    process.start()
    process.join()
    host = socket.gethostname()
    dead, living = (tmp_path / f".{SMALL.name}.{host}.{pid}.0" for pid in (process.pid, os.getppid()))
    other = tmp_path / f".{SMALL.name}.elsewhere.{process.pid}.0"
    for left in (dead, living, other):
        left.mkdir()
    generate(SMALL, tmp_path, quiet=True)
    assert [left.exists() for left in (dead, living, other)] == [False, True, True]


def test_generators_at_the_same_time_agree(tmp_path):
    context = multiprocessing.get_context("fork")
    crew = [context.Process(target=generate, args=(SMALL, tmp_path), kwargs={"quiet": True}) for _ in range(4)]
    for process in crew:
        process.start()
    for process in crew:
        process.join()
    assert [process.exitcode for process in crew] == [0] * 4
    assert [path.name for path in tmp_path.iterdir()] == [SMALL.name]


@pytest.mark.parametrize("marker", [None, "", json.dumps({"version": 0})], ids=["none", "empty", "another version"])
def test_a_folder_in_its_place_is_refused(tmp_path, marker):
    place = tmp_path / SMALL.name
    place.mkdir()
    if marker is not None:
        (place / "complete.json").write_text(marker)
    with pytest.raises(DataError, match=f"{SMALL.name}: not a complete data set .* move it away"):
        generate(SMALL, tmp_path, quiet=True)


def test_it_says_what_it_is_doing(tmp_path, capsys):
    generate(SMALL, tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"drawing {SMALL.name}: 11 images"
    assert lines[1].startswith(f"drew {SMALL.name}: 11 images in ")


@pytest.mark.slow
def test_the_whole_default_set_is_the_committed_one(tmp_path):
    source = Shapes(tmp_path)
    source.prepare(quiet=True)
    assert {split: digest_of_files(source.index(split)) for split in SPLITS} == SPLIT_DIGESTS
    assert statistics(chain.from_iterable(scenes(Spec(), split) for split in SPLITS)) == STATISTICS
