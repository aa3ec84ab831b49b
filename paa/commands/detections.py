"""Detect objects in a folder of images; write them as JSON and as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from paa import files
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.formats.image_folder import folder_index
from paa.datasets.images import decode
from paa.drawing.boxes import draw_detections
from paa.evaluation import Results
from paa.experiment.device import apply_process
from paa.experiment.experiment import Experiment
from paa.log import print_line
from paa.store.record import TrainingRecord


def predict(experiment: Experiment, record: TrainingRecord, images: str, out: Path, score: float | None) -> None:
    """Write out/detections.json and, unless `score` is None, out/pictures/ with detections of at least that score."""
    index = folder_index(images, record.categories, without=out / "pictures")
    apply_process(experiment.config)
    found = experiment.evaluator(record).detect(index)
    files.write_json(out / "detections.json", _as_coco(index, found))
    print_line(f"{out / 'detections.json'}: {len(found)} detections on {len(index)} images")
    if score is not None:
        _pictures(index, found, score, out / "pictures")
        print_line(f"{out / 'pictures'}: {len(index)} pictures, detections of score {score:g} and above")


def _as_coco(index: CocoIndex, found: Results) -> list[dict[str, object]]:
    columns = (
        found.image_ids.tolist(),
        index.category_ids[found.labels].tolist(),
        [[round(value, 3) for value in box] for box in found.boxes.tolist()],
        found.scores.tolist(),
        index.file_names[np.searchsorted(index.image_ids, found.image_ids)].tolist(),
    )
    names = ("image_id", "category_id", "bbox", "score", "file_name")
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _pictures(index: CocoIndex, found: Results, score: float, folder: Path) -> None:
    for i, image_id in enumerate(index.image_ids):
        own = found.take((found.image_ids == image_id) & (found.scores >= score))
        boxes, labels, scores = (column.tolist() for column in (own.boxes, own.labels, own.scores))
        picture = draw_detections(decode(index, i), boxes, labels, scores, index.category_names)
        name = str(index.file_names[i])
        target = folder / (name if name.endswith(".png") else f"{name}.png")  # a.jpg and a.png are two images
        with files.replacing(target, durable=False) as file:
            picture.save(file, "PNG")
