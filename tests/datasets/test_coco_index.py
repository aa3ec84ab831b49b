import io
import json
from contextlib import redirect_stdout

import numpy as np
import pytest
from coco_files import content, write
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from paa.datasets import Custom
from paa.datasets.errors import AnnotationError
from paa.datasets.formats.coco_index import CocoIndex


def read(root, data):
    return CocoIndex.read(write(root, data, pictures=False), root / "images")


def test_arrays_by_hand(tmp_path):
    index = read(tmp_path, content())
    assert len(index) == 3
    assert index.classes == 3
    assert index.image_ids.tolist() == [10, 20, 30]
    assert index.file_names.tolist() == ["a.png", "b.png", "c.png"]
    assert (index.widths.tolist(), index.heights.tolist()) == ([64, 50, 40], [48, 50, 60])
    assert index.offsets.tolist() == [0, 3, 3, 4]
    assert index.image_of.tolist() == [0, 0, 0, 2]
    assert index.annotation_ids.tolist() == [6, 7, 4, 5]
    assert index.boxes.tolist() == [[0, 0, 30, 30], [60, 40, 10, 10], [5, 6, 7, 8], [1.5, 2.25, 10, 20]]
    assert index.areas.tolist() == [800, 100, 50, 123.5]
    assert index.crowd.tolist() == [True, False, False, False]
    assert index.category_ids.tolist() == [3, 17, 90]
    assert index.category_names == ("car", "cat", "ox")
    assert index.labels.tolist() == [0, 1, 0, 2]
    assert index.image_path(2) == tmp_path / "images" / "c.png"
    assert (index.boxes.dtype, index.areas.dtype) == (np.float64, np.float64)


def test_subset(tmp_path):
    whole = read(tmp_path, content())
    part = whole.subset(np.array([2, 1]))
    assert part.image_ids.tolist() == [20, 30]
    assert part.offsets.tolist() == [0, 0, 1]
    assert part.annotation_ids.tolist() == [5]
    assert part.category_ids.tolist() == [3, 17, 90]
    assert whole.subset(np.arange(3)).digest() == whole.digest() != part.digest()


@pytest.mark.parametrize("name", ["coco_tiny100", "bccd"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_to_coco_is_what_pycocotools_reads(shared, name, split, capsys):
    path = shared / "data" / name / "annotations" / f"{split}.json"
    index = CocoIndex.read(path, path.parent)
    mine = index.to_coco()
    assert capsys.readouterr().out == ""
    with redirect_stdout(io.StringIO()):
        theirs = COCO(str(path))
    assert sorted(mine.getImgIds()) == sorted(theirs.getImgIds())
    assert sorted(mine.getCatIds()) == sorted(theirs.getCatIds())
    assert {c["id"]: c["name"] for c in mine.dataset["categories"]} == {
        c["id"]: c["name"] for c in theirs.dataset["categories"]
    }
    assert mine.anns.keys() == theirs.anns.keys()
    keys = ("id", "image_id", "category_id", "bbox", "area", "iscrowd")
    for identity, annotation in theirs.anns.items():
        assert mine.anns[identity] == {key: annotation[key] for key in keys}
    for image in theirs.getImgIds():
        assert mine.getAnnIds(imgIds=[image]) == theirs.getAnnIds(imgIds=[image])


def test_evaluation_of_the_ground_truth_itself_is_perfect_with_crowds(shared):
    path = shared / "data" / "coco_tiny100" / "annotations" / "val.json"
    index = CocoIndex.read(path, path.parent)
    assert index.crowd.sum() == 5
    truth = index.to_coco()
    found = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 1.0}
        for a in truth.dataset["annotations"]
        if not a["iscrowd"]
    ]
    with redirect_stdout(io.StringIO()):
        run = COCOeval(truth, truth.loadRes(found), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    assert run.stats[0] == pytest.approx(1.0)


def test_digest_is_of_the_content(tmp_path):
    base = read(tmp_path / "a", content()).digest()
    shuffled = content()
    shuffled["images"].reverse()
    shuffled["categories"].reverse()
    shuffled["info"] = {"description": "other"}
    shuffled["annotations"][0]["segmentation"] = [[0, 0, 1, 1, 2, 2]]
    assert read(tmp_path / "b", shuffled).digest() == base
    for change in [
        ("annotations", 0, "bbox", [1.5, 2.25, 10, 20.000001]),
        ("annotations", 0, "iscrowd", 1),
        ("annotations", 0, "category_id", 3),
        ("annotations", 0, "image_id", 20),
        ("annotations", 0, "area", 1),
        ("annotations", 0, "id", 99),
        ("images", 0, "file_name", "d.png"),
        ("images", 0, "width", 41),
        ("images", 0, "id", 31),
        ("categories", 0, "name", "bull"),
        ("categories", 0, "id", 91),
    ]:
        data = content()
        part, at, key, value = change
        data[part][at][key] = value
        if key == "id" and part != "annotations":
            for entry in data["annotations"]:
                if at == 0 and entry["id"] == 5:
                    entry["image_id" if part == "images" else "category_id"] = value
        assert read(tmp_path / "c", data).digest() != base, change


def test_digest_is_remembered_by_path_size_and_time(tmp_path, monkeypatch):
    path, cache = write(tmp_path, content()), tmp_path / "cache"
    first = Custom(tmp_path, cache, verify="none").digest("train")
    assert first == CocoIndex.read(path, tmp_path).digest()
    reads, real = [], CocoIndex.from_lists
    monkeypatch.setattr(CocoIndex, "from_lists", lambda *a, **k: reads.append(a) or real(*a, **k))
    assert Custom(tmp_path, cache, exif="ignore", verify="none").digest("train") == first
    assert reads == []
    changed = content()
    changed["annotations"][0]["bbox"] = [9, 9, 9, 9]
    write(tmp_path, changed, pictures=False)
    assert Custom(tmp_path, cache, exif="ignore", verify="none").digest("train") != first
    assert len(reads) == 1


def test_digest_without_a_usable_cache(tmp_path):
    good = CocoIndex.read(write(tmp_path, content()), tmp_path).digest()
    (tmp_path / "file").write_text("")
    assert Custom(tmp_path, tmp_path / "file", verify="none").digest("train") == good
    cache = tmp_path / "cache"
    assert Custom(tmp_path, cache, verify="none").digest("train") == good
    (entry,) = (cache / "digests").iterdir()
    entry.write_text("rubbish")
    assert Custom(tmp_path, cache, verify="none").digest("train") == good


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"none\.json: no such file"):
        CocoIndex.read(tmp_path / "none.json", tmp_path)


def test_no_annotations_where_none_are_expected(tmp_path):
    data = content()
    del data["annotations"]
    path = write(tmp_path, data, pictures=False)
    index = CocoIndex.read(path, tmp_path, labeled=False)
    assert index.offsets.tolist() == [0, 0, 0, 0]
    assert index.boxes.shape == (0, 4)
    assert index.to_coco().getAnnIds() == []
    empty = {**data, "annotations": []}
    path.write_text(json.dumps(empty))
    assert len(CocoIndex.read(path, tmp_path)) == 3
