"""Small VOC folders for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image

from paa.datasets.formats.coco_index import CocoIndex

SIZE = (60, 40)


def obj(name: str, box: tuple[Any, Any, Any, Any], inside: str = "", difficult: str | None = "0") -> str:
    """An <object> with (xmin, ymin, xmax, ymax); `inside` goes in front of its box."""
    corners = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    flag = "" if difficult is None else f"<difficult>{difficult}</difficult>"
    return f"<object><name>{escape(name)}</name><pose>Left</pose>{flag}{inside}<bndbox>{corners}</bndbox></object>\n"


def annotation(*objects: str, size: tuple[Any, Any] | None = SIZE, file_name: str = "") -> str:
    """An XML file."""
    sides = "" if size is None else f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    name = f"<filename>{file_name}</filename>" if file_name else ""
    return f"<annotation>{name}<folder>VOC2007</folder>{sides}<segmented>0</segmented>\n{''.join(objects)}</annotation>"


def write_voc(root: Path, splits: dict[str, dict[str, str]], *, suffix: str = ".jpg", pictures: bool = True) -> Path:
    """A folder with a list for each split, {name: XML}; `root`."""
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for split, files in splits.items():
        (root / f"ImageSets/Main/{split}.txt").write_text("".join(f"{name}\n" for name in files))
        for name, text in files.items():
            (root / f"Annotations/{name}.xml").parent.mkdir(parents=True, exist_ok=True)
            (root / f"Annotations/{name}.xml").write_text(text)
            if pictures:
                (root / f"JPEGImages/{name}{suffix}").parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", SIZE, (90, 120, 30)).save(root / f"JPEGImages/{name}{suffix}")
    return root


def from_coco(index: CocoIndex) -> dict[str, str]:
    """The XML of each image of an index, by name without its ending; crowds become difficult objects."""
    files = {}
    for i, name in enumerate(index.file_names.tolist()):
        objects = []
        for k in range(index.offsets[i], index.offsets[i + 1]):
            x, y, w, h = (int(v) if v == int(v) else float(v) for v in index.boxes[k])
            box = (x + 1, y + 1, x + w, y + h)
            objects.append(obj(index.category_names[index.labels[k]], box, difficult=str(int(index.crowd[k]))))
        size = (int(index.widths[i]), int(index.heights[i]))
        files[Path(name).stem] = annotation(*objects, size=size, file_name=name)
    return files
