"""The survey of a split, and the command that prints it."""

import json

import numpy as np
import pytest
import torch
from broken_sets import Case, build, file, good, put
from PIL import Image
from running import call

from paa.anchors import AnchorGrid
from paa.datasets import Custom
from paa.datasets.image_scan import scan_images
from paa.datasets.survey import best_iou, survey
from paa.datasets.transforms import Transform

GRID = AnchorGrid(scale=2.0, strides=(8, 16))


def test_best_iou_is_that_of_a_loop_over_all_anchors():
    """Random boxes on two image sizes, against the definition; anchors: cells of 8 and 16 pixels, sides 16 and 32."""
    draws = np.random.RandomState(0)
    sizes = np.array([[40, 64], [33, 32]])
    image = np.array([0] * 20 + [1] * 20)
    corner, side = draws.uniform(0, 25, (40, 2)), draws.uniform(1, 30, (40, 2))
    boxes = torch.from_numpy(np.concatenate([corner, corner + side], 1)).float()
    found = best_iou(boxes, image, sizes, GRID)
    for row in range(40):
        height, width = sizes[image[row]]
        x1, y1, x2, y2 = boxes[row].tolist()
        best = 0.0
        for stride in (8, 16):
            for cy in np.arange(stride / 2, height, stride):
                for cx in np.arange(stride / 2, width, stride):
                    w = min(x2, cx + stride) - max(x1, cx - stride)
                    h = min(y2, cy + stride) - max(y1, cy - stride)
                    inter = max(w, 0) * max(h, 0)
                    best = max(best, inter / ((x2 - x1) * (y2 - y1) + 4 * stride**2 - inter))
        assert found[row] == pytest.approx(best, abs=1e-5)


def test_survey_by_hand(tmp_path):
    def change(data):
        data["annotations"][0]["bbox"] = [1, 1, 2, 2]  # at twice the size 16 pixels: far from any anchor
        data["annotations"][2].update(iscrowd=1)
        data["annotations"][3]["bbox"] = [1, 1, 0, 4]
        data["annotations"][4]["category_id"] = data["annotations"][5]["category_id"] = 1
        data["annotations"][1]["category_id"] = 1
        data["images"].append({"id": 4, "file_name": "4.png", "width": 40, "height": 24})

    def files(root):
        Image.new("L", (40, 24)).save(root / "images" / "4.png")
        tag = Image.Exif()
        tag[0x0112] = 3
        Image.new("RGB", (32, 24)).save(root / "images" / "3.png", exif=tag)

    root = build(tmp_path / "set", Case(None, annotations=change, files=files))
    index = Custom(root, tmp_path, on_invalid="drop").index("train")
    one = survey(index, scan_images(index, "decode", tmp_path), Transform(short=48), GRID, 0.1)
    assert one == [
        "  images    4, 1 without a box; longer side 32 to 40, median 32 pixels",
        "  boxes     4, 1 crowds, 1 without area (dropped)",
        "  classes   2: disc 4",
        "            without a box: ring",
        "  sizes     small 100%, medium 0%, large 0% at short side 48",
        "  no anchor 1 boxes (25.0%), no anchor reaches IoU 0.1 with it; first: [1, 1, 2, 2] of image id 1, 1.png: best"
        " IoU 0.062",
        "  colors    L 1, RGB 3",
        "  EXIF      orientation 3 in 1 images; 1 images are turned",
        "  invalid   nothing",
    ]
    every = survey(index, [], Transform(short=48), GRID, 0)
    assert "  no anchor none: every box has an anchor that overlaps it" in every


def check(capsys, root, *more):
    return call(capsys, "paa.data", "check", "data=custom", f"data.root={root}", *more)


def test_check_of_good_data(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = check(capsys, build(tmp_path / "mine", Case(None)), "images.train.short=48", "anchors.scale=4")
    assert (ended.code, ended.err) == (0, "")
    assert "images    3, 0 without a box; longer side 32 pixels" in ended.out
    assert "classes   2: disc 3, ring 3" in ended.out
    assert "at short side 48" in ended.out
    assert ended.out.count("invalid   nothing") == 2
    sheet = tmp_path / "runs" / "data-check" / "mine.png"
    assert f"sample images: {sheet.relative_to(tmp_path)}" in ended.out
    assert Image.open(sheet).width > 1000


def test_check_lists_all_that_is_wrong(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def change(data):
        data["annotations"][0]["bbox"] = [99, 99, 5, 5]
        data["annotations"][1]["bbox"] = [1, 1, -5, 5]
        more = good(4, 3)
        data["images"] += more["images"]

    root = build(tmp_path / "mine", Case(None, annotations=change, files=file(b"")))
    (root / "annotations" / "val.json").write_text("[]")
    ended = check(capsys, root, "out=sheets/all.png", "data.on_invalid=error")
    assert (ended.code, ended.err) == (1, "")
    for line in (
        "1 boxes of negative width or height; first: ",
        "1 boxes wholly outside of their image; first: ",
        "3 image files that are missing; first: ",
        "1 image files that cannot be decoded; first: ",
        "2 boxes of images that are left out; first: ",
        "val.json: a json list, where a COCO file",
    ):
        assert line in ended.out, line
    assert (tmp_path / "sheets" / "all.png").is_file()
    assert not (tmp_path / "runs" / "data-check").exists()


def each(**values):
    """Change every annotation; a value may be a function of its number and the annotation."""

    def change(data):
        for n, entry in enumerate(data["annotations"]):
            entry.update({key: value(n, entry) if callable(value) else value for key, value in values.items()})

    return change


def twice(data):
    data["annotations"] += [{**entry, "id": entry["id"] + 1000} for entry in data["annotations"]]


def corners(data):
    """Eight boxes as [x1, y1, x2, y2]."""
    data["annotations"] += [{**entry, "id": entry["id"] + 1000} for entry in data["annotations"][:2]]
    each(bbox=lambda n, _: [n, 9, 20 + n, 20])(data)


SUSPECT = {
    "no area": (each(area=None), 0, "boxes     6, 0 crowds"),
    "negative areas": (each(area=-5), 1, '6 annotations without a usable "area"; first: '),
    "each annotation twice": (twice, 1, "6 annotations of a box that another has already; first: "),
    "corners": (corners, 1, "8 boxes of two corners; first: "),
    "fractions": (each(bbox=lambda n, _: [0.1 * n, 0.1, 0.4, 0.5]), 1, "6 boxes in fractions of the image; first: "),
    "one file of two images": (put("images", 1, "file_name", "1.png"), 1, "1 images of a file that another has"),
    "one name of two categories": (put("categories", 1, "name", "disc"), 1, "names must differ"),
    "ids that restart": (each(id=lambda n, _: n % 2), 0, "boxes     6, 0 crowds"),
    "crowds": (each(iscrowd=1), 1, "train.json: has no box to train on"),
}


@pytest.mark.parametrize(("change", "code", "text"), SUSPECT.values(), ids=SUSPECT)
def test_check_finds_what_is_wrong_with_all_annotations(tmp_path, capsys, monkeypatch, change, code, text):
    monkeypatch.chdir(tmp_path)
    ended = check(capsys, build(tmp_path / "mine", Case(None, annotations=change)))
    assert ended.code == code, ended
    assert text in ended.out


def test_ids_that_restart_are_numbered_anew_and_named_once(tmp_path, caplog):
    root = build(tmp_path / "set", Case(None, annotations=each(id=lambda n, _: n % 2)))
    for _ in range(2):
        assert Custom(root, tmp_path).index("train").annotation_ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert [record.getMessage().count("ids restart") for record in caplog.records] == [1]


@pytest.mark.parametrize(
    "annotations", [[], [{"id": 1, "image_id": 9, "category_id": 1, "bbox": [1, 1, 9, 9], "iscrowd": 1}]]
)
def test_check_of_a_split_that_measures_nothing(tmp_path, capsys, monkeypatch, annotations):
    monkeypatch.chdir(tmp_path)
    root = build(tmp_path / "mine", Case(None))
    (root / "annotations" / "val.json").write_text(json.dumps({**good(9, 1), "annotations": annotations}))
    ended = check(capsys, root)
    assert ended.code == 1
    assert "val.json: has no box to measure with" in ended.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "data=custom"], "data.root is missing: "),
        (["check", "data=custom", "data.rot=x"], "data.rot: "),
        (
            ["check", "data=custom", "data.root=x", "data.exif=maybe"],
            "data.exif=maybe: ",
        ),
    ],
)
def test_a_command_line_that_is_refused(tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    ended = call(capsys, "paa.data", *words)
    assert ended.code == 2
    assert ended.err.startswith(f"paa.data: {message}")
    assert ended.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_check_of_a_folder_that_is_not_there(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = check(capsys, tmp_path / "none")
    assert ended.code == 1
    assert "none: no such folder; must be a folder with images/" in ended.err
