"""Data sets with one thing wrong or odd each, to be built in a test's folder.

A case begins as a good data set (`good`): three training images 32 x 24 and one of validation, a box or two each.
`change(data, root)` alters the annotations of "train" before they are written, or files after; what it returns says
which: a function of the root to be called when everything is written, or None.
"""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 32, 24

ALL_BOXES = {"legacy": False, "boxes": "clip", "empty": "keep", "degenerate_boxes": "keep", "min_side": 0}
"""Keys of the node `images` under which every image and every box with an area is trained on."""


def good(first: int = 1, count: int = 3) -> dict[str, Any]:
    """Images of ids first, first + 1, ...; the boxes of image i have the ids 10 i and 10 i + 1."""
    ids = range(first, first + count)
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT} for i in ids],
        "annotations": [
            {"id": 10 * i + k, "image_id": i, "category_id": 1 + k, "bbox": [4 + k, 3, 12, 10], "iscrowd": 0}
            for i in ids
            for k in range(2)
        ],
        "categories": [{"id": 1, "name": "disc"}, {"id": 2, "name": "ring"}],
    }


def pixels(width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> np.ndarray:
    """Noise, uint8 [h, w, 3]."""
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@dataclass(frozen=True)
class Case:
    """One data set. `annotations` and `files` alter the good one; both may be None.

    line   what the refusal must hold (regular expression) with on_invalid=error; None: the data set is accepted.
    kept   ids of the training images that on_invalid=drop leaves; None: refused in that mode, too, with the same line.
    boxes  boxes that are then trained on; None where `kept` is.
    """

    line: str | None
    kept: list[int] | None = None
    boxes: int | None = None
    annotations: Callable[[dict[str, Any]], None] | None = None
    files: Callable[[Path], None] | None = None


def build(root: Path, case: Case) -> Path:
    """Writes the data set of a case below `root`."""
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    train, val = good(), good(9, 1)
    for data in (train, val):
        for entry in data["images"]:
            Image.fromarray(pixels(seed=entry["id"])).save(root / "images" / entry["file_name"])
    train = copy.deepcopy(train)
    if case.annotations is not None:
        case.annotations(train)
    (root / "annotations" / "train.json").write_text(json.dumps(train))
    (root / "annotations" / "val.json").write_text(json.dumps(val))
    if case.files is not None:
        case.files(root)
    return root


def put(part: str, at: int, key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Gives one entry another value."""

    def change(data: dict[str, Any]) -> None:
        data[part][at][key] = value

    return change


def without(part: str, at: int, key: str) -> Callable[[dict[str, Any]], None]:
    """Takes a key from one entry."""

    def change(data: dict[str, Any]) -> None:
        del data[part][at][key]

    return change


def box(*value: Any) -> Callable[[dict[str, Any]], None]:
    """Another box for annotation id 20, the first of image 2."""
    return put("annotations", 2, "bbox", list(value))


def file(data: bytes, name: str = "2.png") -> Callable[[Path], None]:
    """Other bytes for the file of image 2."""

    def change(root: Path) -> None:
        (root / "images" / name).write_bytes(data)

    return change


def text(data: bytes) -> Callable[[Path], None]:
    """Other bytes for train.json."""

    def change(root: Path) -> None:
        (root / "annotations" / "train.json").write_bytes(data)

    return change


def _again(part: str, **changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data[part].append({**data[part][1], **changes})

    return change


def _everywhere(part: str, key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for entry in data[part]:
            entry[key] = value

    return change


def _emptied(*parts: str) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for part in parts:
            data[part] = []

    return change


def _other_categories(data: dict[str, Any]) -> None:
    data["categories"] = data["categories"][:1]
    data["annotations"] = [a for a in data["annotations"] if a["category_id"] == 1]


def _gone(root: Path) -> None:
    (root / "images" / "2.png").unlink()


def _all_gone(root: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        (root / "images" / name).unlink()


def _folder(root: Path) -> None:
    _gone(root)
    (root / "images" / "2.png").mkdir()


def _linked(root: Path) -> None:
    (root.parent / f"{root.name}-elsewhere.png").write_bytes((root / "images" / "2.png").read_bytes())
    _gone(root)
    (root / "images" / "2.png").symlink_to(root.parent / f"{root.name}-elsewhere.png")


PNG = encoded(Image.fromarray(pixels(seed=2)))
JPEG = encoded(Image.fromarray(pixels(seed=2)), "JPEG", quality=90)
CORRUPT = bytearray(PNG)
CORRUPT[300] ^= 0xFF

_IMAGE, _ID = r"images/2\.png: ", "image id 2 of .*train.json"
_BOX = r"train\.json: annotation id 20 "

BROKEN: dict[str, Case] = {
    # the file as a whole: refused in both modes
    "not json": Case("train.json: not json", files=text(b"<annotation/>")),
    "json cut off": Case(r"train.json: not json \(.*line 1", files=text(b'{"images": [')),
    "an empty file": Case("train.json: not json", files=text(b"")),
    "not text": Case(r"train.json: not json \(.utf-8", files=text(b"\x80\x81\xff")),
    "a list": Case("train.json: a json list, where a COCO file", files=text(b"[]")),
    "nested without end": Case("train.json: not json", files=text(b"[" * 100_000)),
    "no file": Case("has no annotations/train.json", files=lambda root: (root / "annotations/train.json").unlink()),
    "no images": Case('train.json: "images" is missing', annotations=lambda data: data.pop("images")),
    "no annotations": Case('"annotations" is missing', annotations=lambda data: data.pop("annotations")),
    "categories by name": Case('"categories" is not a list', annotations=lambda d: d.update(categories={"disc": 1})),
    "annotations of numbers": Case(
        '"annotations" is not a list of obj', annotations=lambda d: d.update(annotations=[1])
    ),
    "lists no image": Case(
        "train.json: lists no image; must list the files", annotations=_emptied("images", "annotations")
    ),
    "lists no category": Case("train.json: lists no category", annotations=_emptied("categories", "annotations")),
    "no box at all": Case("train.json: has no box to train on", annotations=_emptied("annotations")),
    "a category twice": Case("category id 2 is given 2 times; ids must differ", annotations=_again("categories")),
    "a category without id": Case(
        'category number 1 of the list has no "id"', annotations=without("categories", 0, "id")
    ),
    "a category without name": Case('category id 1 has no "name"', annotations=without("categories", 0, "name")),
    "a category in val alone": Case(
        r"val.json: lists other categories .* than training has: \(2, 'ring'\) here, nothing there; must list the same",
        annotations=_other_categories,
    ),
    "all images missing": Case(r"images/1\.png: no such file", files=_all_gone),
    "all boxes outside": Case("annotation id 10 has", annotations=_everywhere("annotations", "bbox", [99, 0, 5, 5])),
    # single images
    "an image twice": Case("image id 2 is given 2 times; ids must differ", [1, 2, 3], 6, _again("images")),
    "an id of two images": Case("image id 2 is given 2 times", [1, 3], 4, _again("images", file_name="3.png")),
    "an image without id": Case('image number 2 of the list has no "id"', [1, 3], 4, without("images", 1, "id")),
    "an id as text": Case("image id 2 has \"id\" '2': must be an integer", [1, 3], 4, put("images", 1, "id", "2")),
    "an id too large": Case('has "id" 1000.*: must be an integer', [1, 3], 4, put("images", 1, "id", 10**30)),
    "an image without width": Case('image id 2 has no "width"', [1, 3], 4, without("images", 1, "width")),
    "a width of zero": Case(
        'image id 2 has "width" 0: must be an integer from 1', [1, 3], 4, put("images", 1, "width", 0)
    ),
    "a width of a half": Case('"height" 23.5: must be an integer', [1, 3], 4, put("images", 1, "height", 23.5)),
    "no file name": Case('image id 2 has no "file_name"', [1, 3], 4, without("images", 1, "file_name")),
    "a name up and away": Case(
        "image id 2 has \"file_name\" '../../2.png', which leads out of the data root: must be relative",
        [1, 3],
        4,
        put("images", 1, "file_name", "../../2.png"),
    ),
    "a name from the root": Case("which leads out of", [1, 3], 4, put("images", 1, "file_name", "/etc/passwd")),
    "a drive": Case("which leads out of", [1, 3], 4, put("images", 1, "file_name", "C:\\2.png")),
    "a missing file": Case(_IMAGE + rf"no such file, {_ID} \(data.on_invalid=drop leaves", [1, 3], 4, files=_gone),
    "an empty image": Case(_IMAGE + r"cannot be decoded \(not an image of a known kind", [1, 3], 4, files=file(b"")),
    "a page for an image": Case(_IMAGE + "cannot be decoded", [1, 3], 4, files=file(b"<html></html>")),
    "a PNG cut off": Case(_IMAGE + r"cannot be decoded \(.*truncated", [1, 3], 4, files=file(PNG[: len(PNG) // 2])),
    "a PNG spoilt": Case(_IMAGE + "cannot be decoded", [1, 3], 4, files=file(bytes(CORRUPT))),
    "a JPEG cut off": Case(_IMAGE + r"cannot be decoded \(.*truncated", [1, 3], 4, files=file(JPEG[:-40])),
    "a folder for an image": Case(_IMAGE + r"cannot be decoded \(not a file", [1, 3], 4, files=_folder),
    "floating point": Case(
        _IMAGE + r"cannot be decoded \(floating-point pixels",
        [1, 3],
        4,
        files=file(encoded(Image.new("F", (WIDTH, HEIGHT), 0.5), "TIFF")),
    ),
    "a wrong size": Case(
        _IMAGE + "is 32 x 24 pixels, but .*train.json states 33 x 24 for image id 2",
        [1, 3],
        4,
        put("images", 1, "width", 33),
    ),
    "sides exchanged": Case(
        _IMAGE + "is 32 x 24 pixels, but .* states 24 x 32",
        [1, 3],
        4,
        lambda data: data["images"][1].update(width=HEIGHT, height=WIDTH),
    ),
    # single boxes
    "NaN": Case(
        _BOX + r'has "bbox" \[4, nan, 12, 10\]: must be four finite', [1, 2, 3], 5, box(4, float("nan"), 12, 10)
    ),
    "infinity": Case(_BOX + "has .*: must be four finite numbers", [1, 2, 3], 5, box(4, 3, float("inf"), 10)),
    "three numbers": Case(_BOX + r'has "bbox" \[1, 2, 3\]: must be four', [1, 2, 3], 5, box(1, 2, 3)),
    "numbers as text": Case(_BOX + "has .*: must be four finite numbers", [1, 2, 3], 5, box("4", "3", "12", "10")),
    "no box": Case(_BOX + 'has no "bbox"', [1, 2, 3], 5, without("annotations", 2, "bbox")),
    "a negative width": Case(_BOX + ".*: width and height must not be negative", [1, 2, 3], 5, box(16, 3, -12, 10)),
    "a box outside": Case(
        _BOX + ".*, wholly outside of image id 2: must meet its 32 x 24", [1, 2, 3], 5, box(32, 0, 9, 9)
    ),
    "a box left of it": Case(_BOX + ".*, wholly outside of image id 2", [1, 2, 3], 5, box(-9, 0, 9, 9)),
    "an unknown image": Case(
        _BOX + "is of image 7, which the file does not list", [1, 2, 3], 5, put("annotations", 2, "image_id", 7)
    ),
    "an unknown category": Case(
        _BOX + "is of category 7, which the file does not list", [1, 2, 3], 5, put("annotations", 2, "category_id", 7)
    ),
    "a box of no image": Case(_BOX + 'has no "image_id"', [1, 2, 3], 5, without("annotations", 2, "image_id")),
    "an annotation twice": Case("annotation id 11 is given 2 times; ids must", [1, 2, 3], 6, _again("annotations")),
    "an area as text": Case(
        _BOX + "has \"area\" 'big': must be a finite", [1, 2, 3], 5, put("annotations", 2, "area", "big")
    ),
    "a negative area": Case(
        _BOX + 'has "area" -5: must be a .* from 0', [1, 2, 3], 5, put("annotations", 2, "area", -5)
    ),
    "an infinite area": Case(_BOX + 'has "area" inf: ', [1, 2, 3], 5, put("annotations", 2, "area", float("inf"))),
    "a box twice": Case(
        r'id 99 has "bbox" \[5, 3, 12, 10\] of category 2, as another', [1, 2, 3], 6, _again("annotations", id=99)
    ),
    "a file of two images": Case(
        "image id 4 has \"file_name\" '2.png', as another", [1, 2, 3], 6, _again("images", id=4)
    ),
    "a name of two categories": Case(
        "category id 2 has \"name\" 'disc', as", annotations=put("categories", 1, "name", "disc")
    ),
    "fractions": Case(
        "as all boxes, within 0 ... 1", annotations=_everywhere("annotations", "bbox", [0.1, 0.2, 0.5, 0.5])
    ),
    "a crowd flag as text": Case(
        _BOX + "has \"iscrowd\" 'no': must be an integer", [1, 2, 3], 5, put("annotations", 2, "iscrowd", "no")
    ),
}
"""Each is refused with its line; in drop mode what is left is trained on."""

_SIZE = (WIDTH, HEIGHT)


def _exif(orientation: int, kind: str = "JPEG", size: tuple[int, int] = _SIZE) -> bytes:
    tag = Image.Exif()
    tag[0x0112] = orientation
    return encoded(Image.fromarray(pixels(*size)), kind, exif=tag)


def _gaps(data: dict[str, Any]) -> None:
    """Categories 3 and 90, the later one listed first."""
    for entry in data["annotations"]:
        entry["category_id"] = {1: 3, 2: 90}[entry["category_id"]]
    data["categories"] = [{"id": 90, "name": "ring"}, {"id": 3, "name": "disc"}]


def _rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


ODD: dict[str, Case] = {
    # what COCO users have and expect to work: accepted in both modes, and nothing is left out
    "gaps in category ids": Case(
        None, [1, 2, 3], 6, _gaps, lambda root: _rewrite(root / "annotations" / "val.json", _gaps)
    ),
    "a box of zero width": Case(None, [1, 2, 3], 5, box(4, 3, 0, 10)),
    "a zero box outside": Case(None, [1, 2, 3], 5, box(99, 3, 0, 0)),
    "a box over the edge": Case(None, [1, 2, 3], 6, box(25, 20, 30, 30)),
    "a crowd": Case(None, [1, 2, 3], 5, put("annotations", 2, "iscrowd", 1)),
    "no area, no crowd flag": Case(None, [1, 2, 3], 6, without("annotations", 2, "iscrowd")),
    "a crowd flag of null": Case(None, [1, 2, 3], 6, put("annotations", 2, "iscrowd", None)),
    "an image without boxes": Case(
        None, [1, 2, 3], 4, lambda d: d.update(annotations=[a for a in d["annotations"] if a["image_id"] != 2])
    ),
    "a class without boxes": Case(None, [1, 2, 3], 6, _everywhere("annotations", "category_id", 1)),
    "whole numbers as floats": Case(None, [1, 2, 3], 6, put("images", 1, "width", 32.0)),
    "a byte order mark": Case(None, [1, 2, 3], 6, files=text(b"\xef\xbb\xbf" + json.dumps(good()).encode())),
    "a name with a detour": Case(None, [1, 2, 3], 6, put("images", 1, "file_name", "../images/2.png")),
    "a link out of the root": Case(None, [1, 2, 3], 6, files=_linked),
    "PNG bytes under .jpg": Case(
        None, [1, 2, 3], 6, put("images", 1, "file_name", "2.jpg"), lambda root: file(PNG, "2.jpg")(root)
    ),
    "JPEG bytes under .png": Case(None, [1, 2, 3], 6, files=file(JPEG)),
    "gray": Case(None, [1, 2, 3], 6, files=file(encoded(Image.new("L", _SIZE, 9)))),
    "one bit": Case(None, [1, 2, 3], 6, files=file(encoded(Image.new("1", _SIZE, 1)))),
    "gray and alpha": Case(None, [1, 2, 3], 6, files=file(encoded(Image.new("LA", _SIZE)))),
    "16 bits": Case(None, [1, 2, 3], 6, files=file(encoded(Image.new("I;16", _SIZE)))),
    "RGBA": Case(None, [1, 2, 3], 6, files=file(encoded(Image.new("RGBA", _SIZE)))),
    "palette with transparency": Case(
        None, [1, 2, 3], 6, files=file(encoded(Image.fromarray(pixels()).quantize(8), transparency=bytes([0, 128])))
    ),
    "CMYK": Case(None, [1, 2, 3], 6, files=file(encoded(Image.new("CMYK", _SIZE), "JPEG"))),
    "two frames": Case(
        None,
        [1, 2, 3],
        6,
        files=file(encoded(Image.new("L", _SIZE), "GIF", save_all=True, append_images=[Image.new("L", _SIZE, 9)])),
    ),
    "EXIF, stored size stated": Case(None, [1, 2, 3], 6, files=file(_exif(6))),
    "EXIF, shown size stated": Case(None, [1, 2, 3], 6, files=file(_exif(6, size=_SIZE[::-1]))),
    "EXIF upside down": Case(None, [1, 2, 3], 6, files=file(_exif(3, "PNG"))),
    "EXIF nonsense": Case(None, [1, 2, 3], 6, files=file(_exif(77))),
}
