"""Evaluation by pycocotools: the twelve COCO numbers, AP of each class, and the error of the predicted IoU.

Legend: D detections, K classes, T = 10 IoU thresholds, A = 4 ranges of ground-truth area (see `matches`).
"""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools.cocoeval import COCOeval

from paa.evaluation.matches import AREAS, THRESHOLDS, Array, Matches, mean

if TYPE_CHECKING:
    from paa.datasets.formats.coco_index import CocoIndex

NUMBERS = ("AP", "AP50", "AP75", "APS", "APM", "APL", "AR1", "AR10", "AR100", "ARS", "ARM", "ARL")
"""The twelve COCO numbers, in pycocotools' order."""


@dataclass(frozen=True)
class Results:
    """Detections of a data set, in any order.

    image_ids [D] int64; labels [D] int64 from 0, in the order of the index's categories; boxes [D, 4] float, (x, y, w,
    h) in pixels of the ORIGINAL image; scores [D] float; quality [D] float, the predicted IoU or NaN.
    """

    image_ids: Array
    labels: Array
    boxes: Array
    scores: Array
    quality: Array

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def join(cls, parts: Sequence[Results]) -> Results:
        """Join the detections of `parts`, in their order; no parts give no detections."""
        whole, real = np.zeros(0, np.int64), np.zeros(0, np.float32)
        every = parts or [cls(whole, whole, real.reshape(0, 4), real, real)]
        return cls(*(np.concatenate(columns) for columns in zip(*(vars(part).values() for part in every), strict=True)))

    def in_order(self, image_ids: np.ndarray) -> Results:
        """Return the same detections, images in the order of `image_ids` [I], each image's own as they are."""
        by_id = np.argsort(image_ids, kind="stable")
        place = by_id[np.searchsorted(image_ids, self.image_ids, sorter=by_id)]
        return self.take(np.argsort(place, kind="stable"))

    def best(self, limit: int | Array) -> Array:
        """Return the rows [N] of the highest scores of each image, by image ID and then by falling score.

        limit  how many of an image: a number, or [D] one for each detection, equal within an image.
        """
        order = np.lexsort((-self.scores, self.image_ids))
        ids = self.image_ids[order]
        rank = np.arange(len(ids)) - np.searchsorted(ids, ids)
        return order[rank < np.broadcast_to(limit, len(ids))[order]]

    def take(self, rows: np.ndarray) -> Results:
        """Return the detections at `rows`: positions, or [D] bool."""
        return Results(*(column[rows] for column in vars(self).values()))


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation found.

    numbers      the twelve of NUMBERS, in percent; None where there is no ground truth of that size (COCO's -1).
    per_class    AP in percent of each class name; None where the class has no ground truth.
    iou_error    mean |predicted - true IoU|, from 0 to 1, over the detections that are true positives at IoU 0.5; None
                 without an IoU prediction or without a true positive.
    images, detections, matched  how many; matched counts the true positives at IoU 0.5.
    matches      per detection, for later statistics.
    """

    numbers: dict[str, float | None]
    per_class: dict[str, float | None]
    iou_error: float | None
    images: int
    detections: int
    matched: int
    matches: Matches


def evaluate(index: CocoIndex, results: Results, *, predicts_iou: bool = True) -> Evaluation:
    """Evaluate `results` on all images of `index` by COCO's rules; crowds are ignored.

    predicts_iou=False: `results.quality` is not a predicted IoU (but centerness), so there is no iou_error.
    ValueError names a detection whose image or class the annotations lack, or whose numbers are not finite.
    """
    worker = _Worker(index, results)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        worker.evaluate()
        worker.accumulate()
        worker.summarize()
    matches = worker.matches(predicts_iou)
    found = matches.true[:, 0, 0]
    errors = np.abs(matches.predicted[found].astype(np.float64) - matches.iou[found])
    precision = worker.eval["precision"][..., 0, -1]
    return Evaluation(
        numbers={n: None if v == -1 else 100.0 * float(v) for n, v in zip(NUMBERS, worker.stats, strict=True)},
        per_class={
            name: mean(precision[:, :, worker.position[label]]) for label, name in enumerate(index.category_names)
        },
        iou_error=float(errors.mean()) if len(errors) and np.isfinite(errors).all() else None,
        images=len(index.image_ids),
        detections=len(results),
        matched=int(found.sum()),
        matches=matches,
    )


def matched(index: CocoIndex, results: Results) -> Array:
    """Return the annotation of `index` that each detection matches at IoU 0.5, as COCO pairs them: [D] int64.

    It is a position in the index's annotations; -1 where there is none. Several detections may match one crowd. Errors
    as in `evaluate`.
    """
    worker = _Worker(index, results)
    with contextlib.redirect_stdout(io.StringIO()):
        worker.evaluate()
    rows, truth = worker.pairs()
    found = np.full(len(results), -1, dtype=np.int64)
    found[rows] = truth
    return found


def check(results: Results, image_ids: list[int], classes: int) -> None:
    """ValueError names a detection on an image or of a class that is not there, or with a number that is not finite."""
    known = np.isin(results.image_ids, image_ids)
    if not known.all():
        raise ValueError(f"results: image id {results.image_ids[~known][0]} is not in the annotations")
    wrong = (results.labels < 0) | (results.labels >= classes)
    if wrong.any():
        raise ValueError(f"results: label {results.labels[wrong][0]} must be from 0 to {classes - 1}")
    finite = np.isfinite(results.boxes).all(axis=1) & np.isfinite(results.scores)
    if not finite.all():
        raise ValueError(f"results: image id {results.image_ids[~finite][0]} has a box or score that is not finite")


class _Worker(COCOeval):
    """COCOeval fed from arrays.

    `COCO.loadRes` would fail on no detections and build a polygon for each. Ground truths get ids from 1: COCOeval
    takes a match with the ground truth of id 0 for none.
    """

    def __init__(self, index: CocoIndex, results: Results) -> None:
        category_ids, image_ids = [int(c) for c in index.category_ids], [int(i) for i in index.image_ids]
        check(results, image_ids, len(category_ids))
        with contextlib.redirect_stdout(io.StringIO()):
            truth = index.to_coco().dataset.get("annotations", [])
        super().__init__(iouType="bbox")
        self.params.imgIds, self.params.catIds = sorted(image_ids), sorted(category_ids)
        self.position = [self.params.catIds.index(c) for c in category_ids]
        self._label = [category_ids.index(c) for c in self.params.catIds]
        self._category_ids, self._truth, self._results = category_ids, truth, results
        self._truth_boxes = np.array([gt["bbox"] for gt in truth], dtype=np.float64).reshape(-1, 4)

    def _prepare(self) -> None:
        self._gts, self._dts = defaultdict(list), defaultdict(list)
        for number, gt in enumerate(self._truth, start=1):
            crowd = int(gt.get("iscrowd", 0))
            own = {"id": number, "ignore": crowd, "iscrowd": crowd, "area": gt["area"], "bbox": list(gt["bbox"])}
            self._gts[gt["image_id"], gt["category_id"]].append(own)
        boxes, scores = self._results.boxes.astype(np.float64), self._results.scores.astype(np.float64)
        kinds = np.array(self._category_ids, dtype=np.int64)[self._results.labels]
        columns = (self._results.image_ids, kinds, scores, boxes[:, 2] * boxes[:, 3], boxes)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for number, (image, kind, score, area, box) in enumerate(rows, start=1):
            self._dts[image, kind].append({"id": number, "score": score, "area": area, "bbox": box})

    def _entries(self) -> list[tuple[int, int, list[dict[str, Any]]]]:
        """Position of the image, label, and what `evaluate` found in each area, by image and then by label.

        An image without detections and ground truth of a class has no entry.
        """
        grid = np.array(self.evalImgs, dtype=object).reshape(len(self._label), len(AREAS), len(self.params.imgIds))
        by_label = np.argsort(self._label)
        every = ((i, k) for i in range(grid.shape[2]) for k in by_label)
        return [(i, self._label[k], list(grid[k, :, i])) for i, k in every if grid[k, 0, i]]

    def pairs(self) -> tuple[Array, Array]:
        """Rows of the results [P], and of the ground truths that they match at IoU 0.5 in any area, or -1 [P]."""
        found = [areas[0] for _, _, areas in self._entries()]
        none = np.zeros(0, np.int64)
        rows = np.concatenate([none, *(np.array(f["dtIds"], dtype=np.int64) - 1 for f in found)])
        return rows, np.concatenate([none, *(f["dtMatches"][0].astype(np.int64) - 1 for f in found)])

    def matches(self, predicts_iou: bool) -> Matches:
        """What `evaluate` found, as arrays."""
        entries = self._entries()

        def bits(name: str) -> Array:  # [D, T, A]
            every = (np.stack([found[name].T > 0 for found in areas], axis=-1) for _, _, areas in entries)
            return np.concatenate([np.zeros((0, len(THRESHOLDS), len(AREAS)), bool), *every])

        row, truth = self.pairs()
        hit, ignored = bits("dtMatches"), bits("dtIgnore")
        counts = [[np.count_nonzero(found["gtIgnore"] == 0) for found in areas] for _, _, areas in entries]
        count = np.array(counts, dtype=np.int64).reshape(-1, len(AREAS))
        places = np.array([(i, label) for i, label, _ in entries], dtype=np.int64).reshape(-1, 2)
        lengths = np.array([len(areas[0]["dtIds"]) for _, _, areas in entries], dtype=np.int64)
        held = count.any(axis=1)
        true = hit & ~ignored
        found = true[:, 0, 0]
        predicted, iou = np.full((2, len(row)), np.nan, dtype=np.float32)
        iou[found] = _iou(self._results.boxes[row[found]].astype(np.float64), self._truth_boxes[truth[found]])
        if predicts_iou:
            predicted[found] = self._results.quality[row[found]]
        return Matches(
            image_ids=np.array(self.params.imgIds, dtype=np.int64),
            classes=len(self._label),
            image=np.repeat(places[:, 0], lengths),
            label=np.repeat(places[:, 1], lengths),
            score=self._results.scores[row],
            true=true,
            ignored=ignored,
            gt_image=places[held, 0],
            gt_label=places[held, 1],
            gt_count=count[held],
            predicted=predicted,
            iou=iou,
        )


def _iou(a: Array, b: Array) -> Array:
    """IoU [N] of pairs of (x, y, w, h) boxes [N, 4], in float64."""
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    shared = np.clip(high - low, 0.0, None).prod(axis=1)
    return shared / (a[:, 2] * a[:, 3] + b[:, 2] * b[:, 3] - shared)
