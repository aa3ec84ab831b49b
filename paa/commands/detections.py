"""Detect objects in a folder of images; write them as JSON and as pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from paa import files
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.formats.image_folder import folder_index
from paa.datasets.images import decode
from paa.drawing.boxes import draw_detections
from paa.evaluation import Results
from paa.experiment.device import apply_process, device_of
from paa.experiment.evaluation import Evaluator
from paa.experiment.experiment import Experiment, final_detector
from paa.experiment.identify import votings
from paa.store.record import TrainingRecord


def predict(
    experiment: Experiment,
    record: TrainingRecord,
    images: str,
    out: Path,
    score: float | None,
    say: Callable[[str], None],
) -> None:
    """Write out/detections.json and, unless `score` is None, out/pictures/ with detections of at least that score."""
    parts, paths = experiment.parts, experiment.identity.paths
    index = folder_index(images, record.categories, without=out / "pictures")
    apply_process(parts.config)
    device = device_of(parts.config)
    detector = final_detector(parts, paths, record).to(device)
    voting = votings(parts.config)[-1]
    found = Evaluator(parts, detector, device, record.categories).results(index, [voting])[voting]
    files.write_json(out / "detections.json", _as_coco(index, found))
    say(f"{out / 'detections.json'}: {len(found)} detections on {len(index)} images")
    if score is not None:
        _pictures(index, found, score, out / "pictures")
        say(f"{out / 'pictures'}: {len(index)} pictures, detections of score {score:g} and above")


def _as_coco(index: CocoIndex, found: Results) -> list[dict[str, object]]:
    names = dict(zip(index.image_ids.tolist(), index.file_names.tolist(), strict=True))
    rows = zip(
        found.image_ids.tolist(), found.labels.tolist(), found.boxes.tolist(), found.scores.tolist(), strict=True
    )
    return [
        {
            "image_id": image,
            "category_id": int(index.category_ids[label]),
            "bbox": [round(value, 3) for value in box],
            "score": score,
            "file_name": names[image],
        }
        for image, label, box, score in rows
    ]


def _pictures(index: CocoIndex, found: Results, score: float, folder: Path) -> None:
    for i, image_id in enumerate(index.image_ids):
        rows = np.flatnonzero((found.image_ids == image_id) & (found.scores >= score))
        picture = draw_detections(
            decode(index, i),
            found.boxes[rows].tolist(),
            found.labels[rows].tolist(),
            found.scores[rows].tolist(),
            index.category_names,
        )
        name = str(index.file_names[i])
        target = folder / (name if name.endswith(".png") else f"{name}.png")  # a.jpg and a.png are two images
        with files.replacing(target, durable=False) as file:
            picture.save(file, "PNG")
