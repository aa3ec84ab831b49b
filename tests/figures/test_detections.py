"""Figure 8: pairs of detections and ground truths are those of the evaluation."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from paa.datasets.formats.coco_index import CocoIndex
from paa.evaluation import Results, evaluate
from paa.evaluation.coco import matched
from paa.figures import detections
from paa.figures.detections import _LOOKS, ALONE, BEST, CROWD, MATCHED, Detected, worth_showing
from paa.figures.style import printed


def an_index(seed: int = 0, images: int = 8) -> CocoIndex:
    """Random boxes of three classes on images of 64 x 64, some of them crowds."""
    draw = np.random.default_rng(seed)
    annotations = []
    for image in range(1, images + 1):
        for _ in range(draw.integers(0, 6)):
            x, y = draw.uniform(0, 40, 2)
            w, h = draw.uniform(8, 24, 2)
            entry = {"id": len(annotations) + 1, "image_id": image, "category_id": int(draw.integers(1, 4))}
            annotations.append({**entry, "bbox": [x, y, w, h], "area": w * h, "iscrowd": int(draw.random() < 0.15)})
    lists = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 64} for i in range(1, images + 1)],
        "annotations": annotations,
        "categories": [{"id": c, "name": name} for c, name in enumerate("abc", 1)],
    }
    return CocoIndex.from_lists(lists, path="annotations.json", image_dir=".")


def some_results(index: CocoIndex, seed: int = 1) -> Results:
    """Ground truths moved a little, twice each, some of another class; scores at random."""
    draw = np.random.default_rng(seed)
    rows = np.repeat(np.arange(len(index.boxes)), 2)
    boxes = index.boxes[rows] + draw.normal(0, 2.5, (len(rows), 4))
    labels = np.where(draw.random(len(rows)) < 0.8, index.labels[rows], (index.labels[rows] + 1) % 3)
    return Results(
        image_ids=index.image_ids[index.image_of[rows]],
        labels=labels,
        boxes=np.maximum(boxes, 1.0),
        scores=draw.random(len(rows)).astype(np.float32),
        quality=np.full(len(rows), 0.5, dtype=np.float32),
    )


def iou(a, b, crowd):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    shared = np.clip(high - low, 0, None).prod()
    return shared / (a[2] * a[3] + (0 if crowd else b[2] * b[3] - shared))


def literally(index: CocoIndex, results: Results) -> list[int]:
    """COCO's rule, word by word: best score first, each takes the free ground truth of its class that it overlaps most,
    at 0.5 and above; crowds are for those that find none, and stay free.
    """
    out, taken = [-1] * len(results), set()
    for d in sorted(range(len(results)), key=lambda d: -results.scores[d]):
        options = []
        for g in np.flatnonzero(index.image_ids[index.image_of] == results.image_ids[d]):
            if index.labels[g] == results.labels[d] and g not in taken:
                value = iou(results.boxes[d], index.boxes[g], index.crowd[g])
                if value >= 0.5:
                    options.append((not index.crowd[g], value, int(g)))
        if options:
            out[d] = max(options)[2]
            if not index.crowd[out[d]]:
                taken.add(out[d])
    return out


@pytest.mark.parametrize("seed", range(5))
def test_pairs_are_those_of_the_evaluation(seed):
    index = an_index(seed)
    results = some_results(index, seed + 100)
    found = matched(index, results)
    assert found.tolist() == literally(index, results)
    true = (found >= 0) & ~index.crowd[found]
    assert true.sum() == evaluate(index, results).matched > 0


def test_no_detections_match_nothing():
    assert matched(an_index(), Results.join([])).shape == (0,)


def test_what_is_worth_showing(monkeypatch):
    index = an_index()
    results = some_results(index)
    many = Results.join([results] * 8)
    shown = worth_showing(index, many, 0.4)
    assert shown.scores.min() >= 0.4
    monkeypatch.setattr(detections, "BEST", 3)
    few = worth_showing(index, many, 0.4)
    for i, image in enumerate(index.image_ids):
        every = np.sort(many.scores[(many.image_ids == image) & (many.scores >= 0.4)])[::-1]
        assert np.sort(shown.scores[shown.image_ids == image])[::-1].tolist() == every[:BEST].tolist()
        truths = int(np.diff(index.offsets)[i])
        assert (few.image_ids == image).sum() == min(len(every), max(3, truths))


def test_the_page_shows_every_box_with_its_kind(monkeypatch):
    monkeypatch.setattr(detections, "decode", lambda index, i: Image.new("RGB", (64, 64)))
    index = an_index()
    results = worth_showing(index, some_results(index), 0.0)
    partner = matched(index, results)
    images = [Detected.of(index, i, results, partner) for i in range(len(index))]
    kinds = [kind for one in images for kind in one.kinds]
    assert kinds.count(MATCHED) == sum(one.truth_kinds.count(MATCHED) for one in images)
    assert {MATCHED, ALONE, CROWD} == {kind for one in images for kind in (*one.kinds, *one.truth_kinds)}
    assert all(np.all(np.diff(one.scores) <= 0) for one in images)
    with printed():
        figure = detections.draw(images, 0.0)
    for one, truth, found in zip(images, figure.axes[::2], figure.axes[1::2], strict=True):
        assert len(truth.patches) == 2 * len(one.truths)
        assert len(found.patches) == 2 * len(one.boxes)
        texts = [f"{name} {score:.2f}" for name, score in zip(one.names, one.scores, strict=True)]
        assert [text.get_text() for text in found.texts] == texts
        assert found.get_xlabel() == f"{one.kinds.count(MATCHED)} of {len(one.boxes)} match"
        looks = [(to_hex(patch.get_edgecolor()).upper(), patch.get_linestyle()) for patch in found.patches[1::2]]
        assert looks == [_LOOKS[kind][::2] for kind in reversed(one.kinds)]
