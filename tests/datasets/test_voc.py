"""A VOC folder is read into the very index that COCO's json of the same content gives."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from broken_sets import ALL_BOXES
from coco_files import write
from voc_files import annotation, from_coco, obj, write_voc

from paa.checks import OutOfRange
from paa.datasets import Custom, Voc
from paa.datasets.errors import AnnotationError, DataError
from paa.datasets.formats.coco_index import CocoIndex

PART = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>"
TRAIN = {
    "000012": annotation(obj("ox", (1, 1, 60, 40)), obj("cat", (11, 6, 20, 15), PART, difficult="1")),
    "000005": annotation(obj("cat", (10.5, 2, 12, 3.25), difficult=None), size=(60, 40)),
}
VAL = {"000007": annotation(obj("ox", (5, 5, 9, 9))), "000009": annotation()}


@pytest.fixture
def folder(tmp_path):
    return write_voc(tmp_path / "voc", {"train": TRAIN, "val": VAL})


def source(folder, **arguments):
    return Voc(folder, cache_dir=folder.parent / "cache", **arguments)


def test_boxes_count_pixels_from_1_and_hold_both_corners(folder):
    index = source(folder).index("train")
    assert index.file_names.tolist() == ["000005.jpg", "000012.jpg"]
    assert index.image_ids.tolist() == [1, 2]
    assert index.boxes.tolist() == [[9.5, 1, 2.5, 2.25], [0, 0, 60, 40], [10, 5, 10, 10]]
    assert index.areas.tolist() == [5.625, 2400, 100]
    assert index.categories == [[1, "cat"], [2, "ox"]]
    assert index.labels.tolist() == [0, 1, 0]
    assert index.annotation_ids.tolist() == [1, 2, 3]
    assert index.crowd.tolist() == [False, False, True]
    assert [index.image_path(i).is_file() for i in range(2)] == [True, True]
    assert source(folder, difficult="keep").index("train").crowd.tolist() == [False] * 3


def test_classes_are_those_of_training_or_as_named(folder):
    val = source(folder).index("val")
    assert val.categories == [[1, "cat"], [2, "ox"]]
    assert (val.labels.tolist(), np.diff(val.offsets).tolist()) == ([1], [1, 0])
    named = source(folder, classes=["ox", "hen", "cat"]).index("train")
    assert named.categories == [[1, "ox"], [2, "hen"], [3, "cat"]]
    assert named.labels.tolist() == [2, 0, 2]


def test_splits_and_lists(folder):
    assert source(folder).splits == ("train", "val")
    both = folder / "ImageSets/Main/trainval.txt"
    both.write_text("000012  1\r\n\r\n000007 -1\r\n000005  0\r\n")
    other = source(folder, train_list="trainval", test_list="train")
    assert other.splits == ("train", "val", "test")
    assert other.index("train").file_names.tolist() == ["000005.jpg", "000007.jpg", "000012.jpg"]
    assert other.index("test").file_names.tolist() == ["000005.jpg", "000012.jpg"]


def test_the_image_may_be_no_jpg_and_its_stated_name_stale(tmp_path):
    named = annotation(obj("ox", (1, 1, 9, 9)), file_name="/home/me/a.v2.png")
    folder = write_voc(tmp_path / "voc", {"train": {"sub/a.v2": named, "b": named}}, suffix=".png")
    index = source(folder).index("train")
    assert index.file_names.tolist() == ["b.png", "sub/a.v2.png"]
    assert index.image_path(1).is_file()
    (folder / "JPEGImages/b.png").unlink()
    with pytest.raises(DataError, match=r"JPEGImages/b\.jpg: no such file"):
        source(folder).check(["train"], ALL_BOXES)
    assert source(folder, verify="none").index("train").file_names.tolist() == ["b.jpg", "sub/a.v2.png"]


def test_the_digest_is_that_of_the_content(folder, tmp_path):
    first = source(folder, verify="none")
    digests = {split: first.digest(split) for split in ("train", "val")}
    assert digests == {split: first.index(split).digest() for split in ("train", "val")}
    elsewhere = write_voc(tmp_path / "other", {"train": dict(reversed(TRAIN.items())), "val": VAL})
    assert {split: source(elsewhere, verify="none").digest(split) for split in digests} == digests
    digests = {split: source(folder).digest(split) for split in digests}
    assert {split: source(elsewhere).digest(split) for split in digests} == digests
    assert source(folder, difficult="keep").digest("train") != digests["train"]
    assert source(folder, classes=["ox", "cat"]).digest("val") != digests["val"]


def test_a_digest_is_remembered_until_a_file_changes(folder, monkeypatch):
    before = source(folder).digest("val")
    with monkeypatch.context() as patch:
        patch.setattr("paa.datasets.formats.voc.read_images", lambda *_: pytest.fail("read again"))
        assert source(folder).digest("val") == before
    path = folder / "Annotations/000007.xml"
    path.write_text(annotation(obj("ox", (5, 5, 9, 8))))
    os.utime(path, ns=(1, 1))
    after = source(folder).digest("val")
    assert after != before
    # A class that training gets moves the labels of val, whose own files are as they were.
    (folder / "Annotations/000012.xml").write_text(annotation(obj("hen", (1, 1, 9, 9)), obj("ox", (1, 1, 9, 9))))
    assert source(folder).digest("val") not in {before, after}


BAD = {
    "broken": ("<annotation><object>", r"000005\.xml: not XML \(no element found: line 1"),
    "empty": ("", r"000005\.xml: not XML \(no element found"),
    "bytes": ("\0\0\1", r"000005\.xml: not XML \("),
    "html": ("<html></html>", r"000005\.xml: not VOC's: its root is <html>, must be <annotation>$"),
    "no size": (annotation(size=None), r"000005\.xml: has no <size> with <width>$"),
    "size": (annotation(size=("wide", 4)), r"000005\.xml: <width> wide: must be an integer$"),
    "no side": (annotation(size=(0, 4)), r"000005\.xml: the image has \"width\" 0: must be an integer from 1"),
    "no name": (annotation(obj("", (1, 1, 2, 2))), r"000005\.xml: has an <object> without <name>$"),
    "entity": ('<!DOCTYPE a [<!ENTITY e "x">]><annotation>&e;</annotation>', r"000005\.xml: declares a document type"),
    "outside entity": (
        '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotation>&e;</annotation>',
        r"000005\.xml: declares a document type",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_voc_annotation_is_refused_by_name(folder, name):
    text, message = BAD[name]
    (folder / "Annotations/000005.xml").write_text(text)
    with pytest.raises(AnnotationError, match=message) as error:
        source(folder, on_invalid="error").digest("train")
    assert "\n" not in str(error.value)


def test_a_declared_entity_is_refused_in_any_encoding(folder):
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY e "x">]><annotation>&e;</annotation>'
    (folder / "Annotations/000005.xml").write_bytes(text.encode("utf-16"))
    with pytest.raises(AnnotationError, match=r"000005\.xml: declares a document type"):
        source(folder).index("train")


WRONG = {
    "text": (("1", "b", "3", "4"), r"object 2 \(cat\) has <ymin> 'b': must be a number"),
    "not finite": (("1", "1", "inf", "4"), r"object 2 \(cat\) has <xmax> 'inf': must be a number"),
    "none": (("", "", "", ""), r"object 2 \(cat\) has no <bndbox>"),
    "turned": (("9", "9", "2", "20"), r"object 2 \(cat\) has \"bbox\" \[8.0, 8.0, -6.0, 12.0\]: width and height must"),
    "outside": (("90", "9", "99", "20"), r"object 2 \(cat\) has \"bbox\" .*, wholly outside of image"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_object_that_cannot_be_used_is_refused_or_dropped(folder, name):
    box, message = WRONG[name]
    objects = (obj("ox", (1, 1, 9, 9)), obj("cat", box), obj("ox", (2, 2, 9, 9)))
    (folder / "Annotations/000005.xml").write_text(annotation(*objects))
    with pytest.raises(AnnotationError, match=rf"Annotations/000005\.xml: {message}.*data\.on_invalid=drop"):
        source(folder, on_invalid="error").index("train")
    index = source(folder, on_invalid="drop").index("train")
    assert index.annotation_ids.tolist() == [1, 3, 4, 5]
    (found,) = index.invalid
    assert found.count == 1
    assert f"{folder}/Annotations/000005.xml: object 2 (cat) " in found.first


def test_an_object_of_a_class_that_training_has_not(folder):
    (folder / "Annotations/000007.xml").write_text(annotation(obj("zebra", (1, 1, 9, 9)), obj("ox", (1, 1, 9, 9))))
    listed = r"is of a class that is not among those of ImageSets/Main/train\.txt"
    message = rf"000007\.xml: object 1 \(zebra\) {listed}.*data\.on_invalid=drop"
    with pytest.raises(AnnotationError, match=message):
        source(folder, on_invalid="error").index("val")
    with pytest.raises(AnnotationError, match=r"000007\.xml: object 1 \(zebra\) .* not among data\.classes"):
        source(folder, on_invalid="error", classes=["cat", "ox"]).index("val")
    index = source(folder, on_invalid="drop").index("val")
    assert index.labels.tolist() == [1]
    assert [one.count for one in index.invalid] == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"train\.txt: lists no image$"),
        ("a\na\n", r"train\.txt: lists a twice$"),
        ("../a\n", r"train\.txt: '\.\./a' leads out of Annotations/"),
        ("/etc/a\n", r"train\.txt: '/etc/a' leads out of Annotations/"),
        ("000099\n", r"Annotations/000099\.xml: no such file; every listed image needs its XML$"),
        ("000009\n", r"train\.txt: no object in the XML of its images, so that there is no class; data\.classes=\["),
    ],
)
def test_lists_that_cannot_be_used(folder, text, message):
    (folder / "ImageSets/Main/train.txt").write_text(text)
    with pytest.raises(AnnotationError, match=message):
        source(folder).digest("train")


def test_what_is_missing_and_arguments(folder):
    with pytest.raises(OutOfRange, match=r"root=None: must be a folder with Annotations/, JPEGImages/"):
        Voc(None)
    with pytest.raises(DataError, match=r"has no ImageSets/Main/test\.txt; must be a folder with"):
        source(folder).index("test")
    (folder / "Annotations").rename(folder / "annotations")
    with pytest.raises(DataError, match="has no folder Annotations; must be"):
        source(folder).digest("train")
    for arguments, message in (
        ({"difficult": "drop"}, "difficult=drop: must be one of ignore, keep"),
        ({"classes": ["a", "a"]}, r"classes=\['a', 'a'\]: must be null or a list of different names"),
        ({"classes": "cat"}, "classes=cat: must be null or a list of"),
        ({"train_list": "../x"}, r"train_list=\.\./x: must name a list in ImageSets/Main/"),
        ({"split": "trainval"}, "split=trainval: must be one of train, val, test"),
    ):
        with pytest.raises(OutOfRange, match=message):
            source(folder, **arguments)


def same(voc: CocoIndex, coco: CocoIndex) -> None:
    for name in ("file_names", "widths", "heights", "offsets", "boxes", "areas", "labels", "crowd"):
        assert np.array_equal(getattr(voc, name), getattr(coco, name)), name
    assert voc.category_names == coco.category_names


def test_real_data_to_voc_and_back(shared, tmp_path):
    """Ids count anew; all else is equal. BCCD's names stand in the order of its ids, its classes do not in theirs."""
    bccd = Custom(shared / "data/bccd", cache_dir=tmp_path / "cache")
    indices = {split: bccd.index(split) for split in ("train", "val", "test")}
    assert sorted(indices["train"].file_names.tolist()) == indices["train"].file_names.tolist()
    folder = write_voc(tmp_path / "voc", {s: from_coco(i) for s, i in indices.items()}, pictures=False)
    (folder / "JPEGImages").rmdir()
    (folder / "JPEGImages").symlink_to(shared / "data/bccd/images")
    classes = list(indices["train"].category_names)
    named = source(folder, classes=classes)
    for split, index in indices.items():
        same(named.index(split), index)
    assert source(folder).index("val").category_names == tuple(sorted(classes))


def test_a_folder_of_both_formats_gives_one_digest(tmp_path):
    """With ids that count as VOC's do, not a bit differs."""
    folder = write_voc(tmp_path / "voc", {"train": TRAIN, "val": VAL})
    index = source(folder).index("train")
    content = index.to_coco().dataset
    write(tmp_path / "coco", json.loads(json.dumps(content)), "train", pictures=False)
    (tmp_path / "coco" / "images").rmdir()
    (tmp_path / "coco" / "images").symlink_to(folder / "JPEGImages")
    custom = Custom(tmp_path / "coco", cache_dir=tmp_path / "cache")
    assert custom.digest("train") == source(folder).digest("train")
