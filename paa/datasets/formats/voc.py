"""Read a Pascal VOC folder (one XML file per image) into the lists of a COCO file, which are then checked like any.

    Annotations/*.xml   JPEGImages/   ImageSets/Main/{train,val,trainval,test}.txt

XML can name files of the reader's machine and entities that unfold to gigabytes. The parser of the standard library
(expat) opens no external entity, and here a file that declares a document type at all is refused: entities cannot be
declared elsewhere, and VOC files have none.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from paa.datasets.errors import AnnotationError
from paa.datasets.formats.coco_json import Lists
from paa.datasets.formats.rules import PROBLEM, WHERE

ANNOTATIONS, IMAGES, LISTS = "Annotations", "JPEGImages", "ImageSets/Main"
"""The folders of the layout."""

DIFFICULT = ("ignore", "keep")
"""What becomes of objects that are marked as difficult: a crowd (no target, ignored by the evaluation), or a box."""

_SIDES = ("xmin", "ymin", "xmax", "ymax")


VocImage = tuple[dict[str, Any], list[dict[str, Any]]]
"""An XML file as COCO's entries of its image and of its objects in the file's order, without ids. Objects state a
"name" and whether they are "difficult"; a coordinate that is no number is NaN, which PROBLEM then says.
"""


def read_images(root: Path, list_file: Path) -> list[VocImage]:
    """Read the XML files that a list names, in the order of their names. AnnotationError in a line."""
    names, files = listed(list_file), image_files(root)
    return [_image(root / ANNOTATIONS / f"{name}.xml", name, files.get(name, [])) for name in names]


def image_files(root: Path) -> dict[str, list[str]]:
    """Return the files below JPEGImages/, sorted, by their names without ending."""
    found: dict[str, list[str]] = {}
    for folder, _, here in os.walk(root / IMAGES):
        below = Path(folder).relative_to(root / IMAGES).as_posix()
        for file in sorted(here):
            own = file if below == "." else f"{below}/{file}"
            found.setdefault(os.path.splitext(own)[0], []).append(own)
    return found


def listed(path: Path) -> list[str]:
    """Read the names in a list, sorted: images get the same ids however the list is shuffled.

    The 1, 0 or -1 behind the names in the lists of one class is left out. AnnotationError where the list is missing or
    empty, gives a name twice or one that leads out of the folder.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such file; must list an image's name (without .jpg) in each line") from None
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path}: cannot be read ({error})") from None
    names = [name for name in (re.sub(r"\s+-?[01]$", "", line.strip()) for line in lines) if name]
    if not names:
        raise AnnotationError(f"{path}: lists no image")
    seen: set[str] = set()
    for name in names:
        parts = PurePosixPath(name)
        if parts.is_absolute() or not parts.name or ".." in parts.parts or "\0" in name:
            raise AnnotationError(f"{path}: {name!r} leads out of {ANNOTATIONS}/; names are relative to it")
        if name in seen:
            raise AnnotationError(f"{path}: lists {name} twice")
        seen.add(name)
    return sorted(names)


def class_names(found: Sequence[VocImage]) -> list[str]:
    """Return the classes of all objects, in alphabetical order."""
    return sorted({obj["name"] for _, objects in found for obj in objects})


def as_coco(found: Sequence[VocImage], classes: Sequence[str], difficult: str, known: str = "classes") -> Lists:
    """Return COCO's lists of `found`; entries state by WHERE which file and object they are, by PROBLEM what is wrong.

    difficult  one of DIFFICULT. `known` names, for messages, what an object's class must be among.
    """
    ids = {name: number for number, name in enumerate(classes, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (image, objects) in enumerate(found, start=1):
        images.append({**image, "id": number})
        for obj in objects:
            annotations.append(
                {
                    **obj,
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": ids.get(obj["name"], 0),  # 0 is no category, and refused
                    "iscrowd": int(obj["difficult"] and difficult == "ignore"),
                    PROBLEM: obj[PROBLEM] or (obj["name"] not in ids and f"is of a class that is not among {known}"),
                }
            )
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


class _Tree(ElementTree.TreeBuilder):
    """Elements as usual, but for a document type: with it comes all that can be harmful."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise AnnotationError("declares a document type (<!DOCTYPE), which VOC files do not; it is not read")


def _parse(path: Path) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(path.read_bytes(), ElementTree.XMLParser(target=_Tree()))
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such file; every listed image needs its XML") from None
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from None
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from None
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise AnnotationError(f"{path}: not XML ({error})") from None
    if root.tag != "annotation":
        raise AnnotationError(f"{path}: not VOC's: its root is <{root.tag}>, must be <annotation>")
    return root


def _image(path: Path, name: str, files: Sequence[str]) -> VocImage:
    root = _parse(path)
    width, height = (_side(path, root, side) for side in ("width", "height"))
    stated = PurePosixPath(name).with_name(PurePosixPath((root.findtext("filename") or "").strip()).name or "-")
    usual = f"{name}.jpg"
    # JPEGImages/NAME.jpg in VOC itself; other tools keep PNGs there, and some leave a stale <filename> behind.
    known = [f for f in (usual, stated.as_posix(), *files) if f in files]
    image = {"file_name": known[0] if known else usual, "width": width, "height": height, WHERE: f"{path}: the image"}
    return image, [_object(path, number, obj) for number, obj in enumerate(root.findall("object"), start=1)]


def _side(path: Path, root: ElementTree.Element, side: str) -> int:
    text = (root.findtext(f"size/{side}") or "").strip()
    if not text:
        raise AnnotationError(f"{path}: has no <size> with <{side}>")
    value = _number(text)
    if not value.is_integer():
        raise AnnotationError(f"{path}: <{side}> {text}: must be an integer")
    return int(value)


def _object(path: Path, number: int, element: ElementTree.Element) -> dict[str, Any]:
    """An <object>. Its parts (<part>: head, hand, foot) have boxes of their own further in, and are not looked at.

    VOC counts pixels from 1 and both corners belong to the box: x = xmin - 1, w = xmax - xmin + 1.
    """
    name = (element.findtext("name") or "").strip()
    if not name:
        raise AnnotationError(f"{path}: has an <object> without <name>")
    box = element.find("bndbox")
    texts = [(box.findtext(side) or "").strip() for side in _SIDES] if box is not None else [""] * 4
    corners = [_number(text) for text in texts]
    wrong = [f"<{side}> {text!r}" for side, text, value in zip(_SIDES, texts, corners, strict=True) if value != value]
    problem = (f"has {wrong[0]}: must be a number" if any(texts) else "has no <bndbox>") if wrong else ""
    difficult = (element.findtext("difficult") or "").strip().lower() in ("1", "true")
    left, top, right, bottom = corners
    bbox = [left - 1, top - 1, right - left + 1, bottom - top + 1]
    where = f"{path}: object {number} ({name})"
    return {"name": name, "bbox": bbox, "difficult": difficult, WHERE: where, PROBLEM: problem}


def _number(text: str) -> float:
    """The number that `text` is; NaN where it is none, or is not finite."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
