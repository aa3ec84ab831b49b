"""Every data set of the corpus gets its line before training starts, or is handled as COCO users expect."""

import re

import pytest
from broken_sets import ALL_BOXES, BROKEN, JPEG, ODD, Case, box, build, encoded, file, good, pixels
from PIL import Image
from running import SHORT, configuration

from paa.datasets import Custom
from paa.datasets import image_scan as facts
from paa.datasets.errors import DataError
from paa.datasets.findings import FOLLOWING
from paa.datasets.images import decode
from paa.datasets.targets import training_boxes
from paa.experiment.experiment import Experiment


def source(root, **arguments):
    return Custom(root, cache_dir=root.parent / "cache", **arguments)


def refusal(root, **arguments):
    with pytest.raises(DataError) as caught:
        source(root, **arguments).check(["train", "val"], ALL_BOXES)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 600
    return line


def test_the_corpus_is_large_enough():
    assert len(BROKEN) >= 40
    assert len(BROKEN) + len(ODD) >= 70


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_gets_its_line(tmp_path, name):
    case = BROKEN[name]
    root = build(tmp_path / "set", case)
    line = refusal(root)
    assert re.search(case.line, line), line
    assert str(root) in line
    if case.kept is None:
        assert "data.on_invalid=drop leaves" not in refusal(root, on_invalid="drop")
        return
    assert line.endswith("data.on_invalid=drop leaves them out)")
    survivors = source(root, on_invalid="drop")
    survivors.check(["train", "val"], ALL_BOXES)
    index = survivors.index("train")
    assert index.image_ids.tolist() == case.kept
    assert len(training_boxes(index).boxes) == case.boxes
    wrong = [one for one in index.invalid if one.kind != FOLLOWING]
    assert wrong[0].count <= 2
    assert all("the file does not list" in one.kind for one in wrong[1:])  # boxes of an image without its id
    assert line.startswith(wrong[0].first)
    for i in range(len(index)):
        decode(index, i)


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_taken(tmp_path, name):
    case = ODD[name]
    root = build(tmp_path / "set", case)
    one, other = source(root), source(root, on_invalid="drop")
    for each in (one, other):
        each.check(["train", "val"], ALL_BOXES)
        index = each.index("train")
        assert index.image_ids.tolist() == case.kept
        assert index.invalid == ()
        assert len(training_boxes(index).boxes) == case.boxes
        for i in range(len(index)):
            assert decode(index, i).mode == "RGB"
    assert one.digest("train") == other.digest("train")


def test_a_line_tells_how_many_more_there_are(tmp_path):
    def change(data):
        for at in (0, 2, 3):
            data["annotations"][at]["bbox"] = [40, 0, 5, 5]
        data["annotations"][4]["category_id"] = 8
        data["images"][2]["width"] = 0

    line = refusal(build(tmp_path / "set", Case("", annotations=change)))
    assert 'image id 3 has "width" 0' in line
    assert line.endswith(" (3 other problems, data.on_invalid=drop leaves them out)")
    survivors = source(tmp_path / "set", on_invalid="drop").index("train")
    assert {one.kind: one.count for one in survivors.invalid} == {
        'images without a usable "width"': 1,
        FOLLOWING: 2,
        "boxes wholly outside of their image": 3,
    }


def test_what_was_dropped_changes_the_identity_and_the_mode_does_not(tmp_path):
    clean = build(tmp_path / "clean", Case(None))
    assert source(clean, on_invalid="drop").digest("train") == source(clean).digest("train")
    assert source(clean, exif="ignore").digest("train") == source(clean).digest("train")
    hurt = build(tmp_path / "hurt", Case(None, files=file(b"", "2.png")))
    dropped = source(hurt, on_invalid="drop").digest("train")
    assert dropped != source(clean).digest("train")
    fewer = build(
        tmp_path / "fewer",
        Case(
            None,
            annotations=lambda d: d.update(
                images=[i for i in d["images"] if i["id"] != 2],
                annotations=[a for a in d["annotations"] if a["image_id"] != 2],
            ),
        ),
    )
    assert dropped == source(fewer).digest("train")


def test_another_content_of_an_image_is_another_identity(tmp_path):
    """Of the same size and length: only `verify=decode` notices, which reads all of a file."""
    root = build(tmp_path / "set", Case(None))
    levels = ("decode", "size", "none")
    before = {level: source(root, verify=level).digest("train") for level in levels}
    image = root / "images" / "2.png"
    data = bytearray(image.read_bytes())
    data[-1] ^= 1  # behind the pixels
    image.write_bytes(data)
    assert [level for level in levels if source(root, verify=level).digest("train") != before[level]] == ["decode"]
    image.write_bytes(data + b"0")
    assert source(root, verify="size").digest("train") != before["size"]
    assert source(root, verify="none").digest("train") == before["none"]


def test_images_are_looked_at_once(tmp_path, monkeypatch):
    root = build(tmp_path / "set", Case(None))
    source(root).check(["train", "val"], ALL_BOXES)
    looked = []
    real = facts.inspect
    monkeypatch.setattr(facts, "inspect", lambda path, level: looked.append(path.name) or real(path, level))
    source(root).check(["train", "val"], ALL_BOXES)
    assert looked == []
    (root / "images" / "2.png").write_bytes(b"now it is text")
    assert "cannot be decoded" in refusal(root)
    assert looked == ["2.png"]
    assert "cannot be decoded" in refusal(root)
    assert looked == ["2.png"]


def test_verify_says_how_far_one_looks(tmp_path):
    cut = build(tmp_path / "cut", Case(None, files=file(JPEG[:-40])))
    source(cut, verify="none").check(["train"], ALL_BOXES)
    source(cut, verify="size").check(["train"], ALL_BOXES)
    assert "truncated" in refusal(cut, verify="decode")


@pytest.mark.parametrize("key", ["on_invalid", "verify", "exif"])
def test_values_are_checked(tmp_path, key):
    with pytest.raises(ValueError, match=f"{key}=maybe: must be one of"):
        Custom(tmp_path, **{key: "maybe"})


def test_the_survivors_of_drop_mode_are_trained_on(tmp_path, capsys):
    def change(data):
        box(float("nan"), 0, 1, 1)(data)
        more = good(20, 9)
        data["images"] += more["images"]
        data["annotations"] += more["annotations"]

    root = build(tmp_path / "set", Case(None, annotations=change))
    for number in range(20, 26):
        file(_png(number), f"{number}.png")(root)
    file(_png(26)[:200], "26.png")(root)
    short = [word for word in SHORT if not word.startswith(("data.", "schedule."))]
    words = [*short, "data=custom", f"data.root={root}", f"runs_dir={tmp_path / 'runs'}", "schedule.steps=2"]
    with pytest.raises(DataError, match=r"annotation id 20 has \"bbox\""):
        Experiment.of(configuration(*words))
    capsys.readouterr()
    records = Experiment.of(configuration(*words, "data.on_invalid=drop")).run()
    said = capsys.readouterr().out.splitlines()
    assert [record.split for record in records] == ["val", "val"]
    (line,) = [text for text in said if "left out of train" in text]
    assert "1 image files that cannot be decoded, 2 image files that are missing" in line
    assert '1 annotations without a usable "bbox"' in line
    assert any("trains on 9 images, 17 boxes" in text for text in said)


def _png(seed):
    return encoded(Image.fromarray(pixels(seed=seed)))
