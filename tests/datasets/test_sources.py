import subprocess
import sys

import pytest
from coco_files import content, write

from paa.checks import OutOfRange
from paa.datasets import Coco, Custom, Shapes
from paa.datasets.errors import DataError
from paa.datasets.shapes.generate import SPLIT_DIGESTS


def test_sources_and_their_digests_need_no_torch(tmp_path):
    """Run IDs and the list of runs are computed without it."""
    write(tmp_path, content(), "train")
    code = f"""
import sys
from paa.datasets import Custom, Shapes
Shapes("x").digest("train"), Custom({str(tmp_path)!r}, {str(tmp_path)!r}).digest("train")
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_custom(tmp_path):
    write(tmp_path, content(), "train")
    write(tmp_path, content(), "val")
    source = Custom(tmp_path, cache_dir=tmp_path / "cache", verify="none")
    source.prepare()
    assert source.splits == ("train", "val")
    index = source.index("val")
    assert index.image_path(0).is_file()
    assert source.digest("val") == index.digest()
    write(tmp_path, content(), "test")
    assert source.splits == ("train", "val", "test")


def test_custom_says_what_is_missing(tmp_path):
    with pytest.raises(OutOfRange, match=r"root=None: must be a folder with images/, annotations/train\.json"):
        Custom(None)
    with pytest.raises(DataError, match=r"data\.root=.*none: no such folder; must be a folder with images/"):
        Custom(tmp_path / "none").prepare()
    with pytest.raises(DataError, match=r"data\.root=.*none: no such folder"):
        Custom(tmp_path / "none").index("train")
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"data\.root=.*: has no annotations/val\.json; must be"):
        Custom(tmp_path).digest("val")
    write(tmp_path, content(), "val")
    with pytest.raises(DataError, match=r"split 'minival': must be one of train, val"):
        Custom(tmp_path).index("minival")
    (tmp_path / "images").rename(tmp_path / "pictures")
    with pytest.raises(DataError, match="has no folder images"):
        Custom(tmp_path).index("val")


def test_coco_layout(tmp_path):
    for name, folder in (("instances_train2017", "train2017"), ("instances_val2017", "val2017")):
        write(tmp_path, content(), name, pictures=False)
        (tmp_path / folder).mkdir()
    source = Coco(tmp_path, cache_dir=tmp_path / "cache", verify="none")
    assert source.splits == ("train", "val")
    assert source.index("val").image_path(0) == tmp_path / "val2017" / "a.png"
    with pytest.raises(DataError, match=r"has no annotations/image_info_test-dev2017\.json"):
        source.index("test-dev")
    unlabeled = {key: value for key, value in content().items() if key != "annotations"}
    write(tmp_path, unlabeled, "image_info_test-dev2017", pictures=False)
    (tmp_path / "test2017").mkdir()
    assert source.splits == ("train", "val", "test-dev")
    index = source.index("test-dev")
    assert (len(index), len(index.boxes)) == (3, 0)
    assert source.digest("test-dev") == index.digest()
    with pytest.raises(OutOfRange, match=r"root=None: must be a folder with annotations/instances_train2017\.json"):
        Coco(None)


def test_shapes_are_identified_without_being_drawn(tmp_path):
    source = Shapes(tmp_path / "none")
    assert {split: source.digest(split) for split in source.splits} == SPLIT_DIGESTS
    assert not (tmp_path / "none").exists()
    short = Shapes(tmp_path, train=100)
    assert short.digest("train") not in {SPLIT_DIGESTS["train"], Shapes(tmp_path, train=101).digest("train")}
    assert Shapes(tmp_path, train=100, val=7).digest("train") == short.digest("train")
    ids = {Shapes(tmp_path, train=9, **more).digest("train") for more in ({}, {"seed": 1}, {"size": 96})}
    assert len(ids) == 3


def test_shapes_before_they_are_drawn(tmp_path):
    with pytest.raises(DataError, match=r"train\.json: no such file"):
        Shapes(tmp_path).index("train")
    with pytest.raises(DataError, match="split 'dev': must be one of train, val, test"):
        Shapes(tmp_path).index("dev")


def test_shapes_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"data\.root=.*file: the shapes cannot be written there \("):
        Shapes(tmp_path / "file", train=1, val=1, test=1).prepare(quiet=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed=-1 is out of range: must be an integer from 0"),
        ({"train": 0}, "train=0 is out of range: must be an integer from 1"),
        ({"val": 2.5}, "val=2.5: must be an integer"),
        ({"size": 100}, "size=100: must be a multiple of 32"),
        ({"size": 32}, "size=32 is out of range"),
        ({"root": None}, "root=None: must be a folder that can be written"),
    ],
)
def test_shapes_arguments_are_checked(arguments, message):
    with pytest.raises(OutOfRange, match=message):
        Shapes(**{"root": "data", **arguments})
