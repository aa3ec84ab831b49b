"""COCO evaluation as pycocotools documents it, on small made-up data sets: what our evaluation is compared with."""

import contextlib
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from paa.evaluation import Results

CATEGORIES = [(7, "cat"), (3, "dog"), (90, "eel"), (5, "fox")]  # ids with gaps, not in the order of the labels


class Index:
    """The part of a CocoIndex that evaluation uses, over a list of annotations."""

    def __init__(self, image_ids, annotations, categories=CATEGORIES):
        self.image_ids, self.annotations = image_ids, annotations
        self.category_ids = [c for c, _ in categories]
        self.category_names = [n for _, n in categories]

    def to_coco(self):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": int(i), "file_name": f"{i}.png", "width": 640, "height": 480} for i in self.image_ids],
            "categories": [{"id": c, "name": n} for c, n in zip(self.category_ids, self.category_names, strict=True)],
            "annotations": [dict(a) for a in self.annotations],
        }
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
        return coco


def world(seed, images=12, per_image=6, false=8, ties=False, classes=4):
    """Ground truths of all sizes, some crowds; detections near them, doubled, and anywhere."""
    rng = np.random.default_rng(seed)
    image_ids = [int(i) for i in rng.permutation(1000)[:images] + 5]
    annotations, rows = [], []
    for image in image_ids:
        for _ in range(rng.integers(0, per_image + 1)):
            label = int(rng.integers(0, classes))
            w, h = (float(v) for v in np.exp(rng.uniform(2, 5.5, 2)))
            x, y = (float(v) for v in rng.uniform(0, 300, 2))
            crowd = int(rng.random() < 0.15)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": CATEGORIES[label][0],
                    "bbox": [x, y, w, h],
                    "area": w * h * float(rng.uniform(0.5, 1)),
                    "iscrowd": crowd,
                }
            )
            for _ in range(rng.integers(0, 3)):
                shift = rng.normal(0, 0.08, 4) * [w, h, w, h]
                other = label if rng.random() < 0.9 else int(rng.integers(0, classes))
                rows.append((image, other, np.array([x, y, w, h]) + shift, rng.random()))
        for _ in range(rng.integers(0, false + 1)):
            box = np.concatenate([rng.uniform(0, 300, 2), np.exp(rng.uniform(2, 5.5, 2))])
            rows.append((image, int(rng.integers(0, classes)), box, rng.random() * 0.8))
    rows = [rows[i] for i in rng.permutation(len(rows))]
    scores = np.array([r[3] for r in rows], dtype=np.float32)
    if ties:
        scores = np.round(scores * 4) / 4
    results = Results(
        image_ids=np.array([r[0] for r in rows], dtype=np.int64),
        labels=np.array([r[1] for r in rows], dtype=np.int64),
        boxes=np.abs(np.array([r[2] for r in rows], dtype=np.float32)),
        scores=scores.astype(np.float32),
        quality=rng.random(len(rows)).astype(np.float32),
    )
    return Index(image_ids, annotations), results


def reference(index, results):
    """pycocotools as its documentation uses it."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = index.to_coco()
        rows = [
            {"image_id": int(i), "category_id": index.category_ids[c], "bbox": [float(v) for v in b], "score": float(s)}
            for i, c, b, s in zip(results.image_ids, results.labels, results.boxes, results.scores, strict=True)
        ]
        evaluation = COCOeval(truth, truth.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def copies(index, results, chosen, image_ids):
    """The data set in which each chosen image is an image of its own: what a resample means."""
    annotations, parts = [], []
    for new, old in enumerate(chosen, start=1):
        for annotation in index.annotations:
            if annotation["image_id"] == image_ids[old]:
                annotations.append({**annotation, "image_id": new, "id": len(annotations) + 1})
        rows = results.image_ids == image_ids[old]
        parts.append(
            Results(
                np.full(rows.sum(), new),
                results.labels[rows],
                results.boxes[rows],
                results.scores[rows],
                results.quality[rows],
            )
        )
    return Index(range(1, len(chosen) + 1), annotations), Results.join(parts)


def one(boxes, scores, labels=None, quality=None, image=1):
    n = len(boxes)
    return Results(
        np.full(n, image),
        np.array(labels if labels is not None else [0] * n),
        np.array(boxes, dtype=np.float32).reshape(n, 4),
        np.array(scores, dtype=np.float32),
        np.array(quality if quality is not None else [np.nan] * n, dtype=np.float32),
    )


def truth(box, crowd=0, category=7, number=1, image=1):
    area = box[2] * box[3]
    return {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": crowd}
