"""Detections as the file that an evaluation server takes, for a split whose annotations are not public.

COCO's server (test-dev, now on CodaLab) takes detections_<split>_<algorithm>_results.zip with the json of that name
inside: one list of {"image_id", "category_id", "bbox": [x, y, w, h], "score"}, at most 100 detections an image.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paa import files
from paa.evaluation.coco import Results, check

if TYPE_CHECKING:
    from paa.datasets.formats.coco_index import CocoIndex

PER_IMAGE = 100
"""Detections of an image that the server takes; of more, those with the highest scores."""

_CHUNK = 10_000


def write_upload(folder: Path, split: str, algorithm: str, index: CocoIndex, results: Results) -> Path:
    """Write the json and the zip into `folder`, each atomically; return the path of the zip.

    split      as the server names it ("test-dev2017"); algorithm, the name under which the file goes.
    results    on images of `index`, whose image and category ids are written. Boxes are rounded to a hundredth of a
               pixel; scores keep every digit of float32, so that none trade places.
    ValueError names a detection whose image or class `index` lacks, or whose numbers are not finite.
    """
    check(results, [int(i) for i in index.image_ids], index.classes)
    folder.mkdir(parents=True, exist_ok=True)
    files.clear_leftovers(folder)  # a test set's file is large
    name = f"detections_{split}_{algorithm}_results"
    plain, packed = folder / f"{name}.json", folder / f"{name}.zip"
    with files.replacing(plain) as file:
        for part in _text(index, results):
            file.write(part.encode())
    with files.replacing(packed) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(plain.name, date_time=(1980, 1, 1, 0, 0, 0))  # equal detections give equal bytes
        entry.compress_type = zipfile.ZIP_DEFLATED
        with plain.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
            shutil.copyfileobj(source, target, 1 << 20)
    return packed


def _text(index: CocoIndex, results: Results) -> Iterator[str]:
    """The json in parts: as one object, the two million detections of a test set would take gigabytes."""
    rows = results.best(PER_IMAGE)
    yield "["
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        columns = (
            results.image_ids[part].tolist(),
            index.category_ids[results.labels[part]].tolist(),
            np.round(results.boxes[part].astype(np.float64), 2).tolist(),
            results.scores[part].astype(np.float32).astype(str).tolist(),  # the shortest text that reads back as equal
        )
        entries = [
            {"image_id": image, "category_id": category, "bbox": box, "score": float(score)}
            for image, category, box, score in zip(*columns, strict=True)
        ]
        yield (",\n" if start else "\n") + ",\n".join(json.dumps(e, separators=(",", ":")) for e in entries)
    yield "\n]\n"
