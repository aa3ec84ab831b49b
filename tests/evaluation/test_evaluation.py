"""Evaluation against pycocotools used the ordinary way, and AP from matches against a whole new evaluation."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from paa.evaluation import Matches, Results, average_precision, evaluate
from paa.evaluation.coco import NUMBERS

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


def close(a, b, tolerance=1e-9):
    assert (a is None) == (b is None)
    assert a is None or abs(a - b) <= tolerance


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [False, True])
def test_equals_pycocotools(seed, ties, capsys):
    index, results = world(seed, ties=ties)
    found, wanted = evaluate(index, results), reference(index, results)
    assert tuple(found.numbers) == NUMBERS
    for name, value in zip(NUMBERS, wanted.stats, strict=True):
        close(found.numbers[name], None if value == -1 else 100 * value)
    for name, value in average_precision(found.matches).items():
        close(value, found.numbers[name])
    for category, name in zip(index.category_ids, index.category_names, strict=True):
        table = wanted.eval["precision"][:, :, sorted(index.category_ids).index(category), 0, 2]
        close(found.per_class[name], 100 * table[table > -1].mean() if (table > -1).any() else None)
    assert capsys.readouterr().out == ""


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


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_resampled_images_equal_a_whole_evaluation_of_the_copies(seed, ties):
    index, results = world(seed, ties=ties)
    matches = evaluate(index, results).matches
    rng = np.random.default_rng(100 + seed)
    for size in (len(matches.image_ids), 3, 25):
        chosen = rng.integers(0, len(matches.image_ids), size)
        wanted = reference(*copies(index, results, chosen, matches.image_ids)).stats
        assert len(average_precision(matches, chosen)) == 6
        for value, expected in zip(average_precision(matches, chosen).values(), wanted[:6], strict=True):
            close(value, None if expected == -1 else 100 * expected)


def test_images_that_are_not_there_are_refused():
    matches = evaluate(*world(0)).matches
    with pytest.raises(IndexError, match="from 0 to 11"):
        average_precision(matches, np.array([0, 12]))
    with pytest.raises(IndexError):
        average_precision(matches, np.array([-1]))
    assert set(average_precision(matches, np.array([], dtype=int)).values()) == {None}


def test_no_detections_give_zero_and_no_truth_gives_none():
    index, _ = world(1)
    nothing = evaluate(index, Results.join([]))
    present = {n: v for n, v in nothing.numbers.items() if v is not None}
    assert present
    assert set(present.values()) == {0.0}
    assert nothing.iou_error is None
    assert (nothing.detections, nothing.matched, nothing.images) == (0, 0, 12)
    assert average_precision(nothing.matches)["AP"] == 0.0

    _, results = world(1)
    empty = evaluate(Index(index.image_ids, []), results)
    assert set(empty.numbers.values()) == {None}
    assert set(empty.per_class.values()) == {None}
    assert set(average_precision(empty.matches).values()) == {None}
    assert set(evaluate(Index([], []), Results.join([])).numbers.values()) == {None}


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


def test_crowds_are_ignored():
    index = Index([1], [truth([0, 0, 100, 100]), truth([200, 0, 100, 100], crowd=1, number=2)])
    found = evaluate(index, one([[0, 0, 100, 100], [210, 10, 40, 40], [220, 10, 40, 40]], [0.5, 0.9, 0.8]))
    assert found.numbers["AP"] == pytest.approx(100)
    assert found.matched == 1
    assert found.matches.ignored[:, :, 0].sum(axis=0).tolist() == [2] * 10


def test_a_ground_truth_of_id_zero_counts():
    found = evaluate(Index([1], [truth([0, 0, 50, 50], number=0)]), one([[0, 0, 50, 50]], [0.5]))
    assert found.numbers["AP"] == pytest.approx(100)


def test_iou_error_by_hand():
    index = Index([1], [truth([0, 0, 100, 100]), truth([300, 0, 100, 100], number=2), truth([0, 300, 9, 9], number=3)])
    # IoU 0.8, a second detection of the same object, IoU 1.0, IoU 0.4, and a right box of the wrong class.
    boxes = [[0, 0, 80, 100], [0, 0, 70, 100], [300, 0, 100, 100], [0, 300, 9, 3.6], [0, 300, 9, 9]]
    results = one(boxes, [0.9, 0.8, 0.7, 0.6, 0.5], labels=[0, 0, 0, 0, 1], quality=[0.7, 0.1, 0.6, 0.1, 0.1])
    found = evaluate(index, results)
    assert found.matched == 2
    assert found.iou_error == pytest.approx((0.1 + 0.4) / 2, abs=1e-6)
    assert evaluate(index, results, predicts_iou=False).iou_error is None
    assert evaluate(index, one(boxes, [0.9, 0.8, 0.7, 0.6, 0.5])).iou_error is None


def test_results_that_do_not_fit_are_refused_by_name():
    index = Index([1], [truth([0, 0, 50, 50])])
    with pytest.raises(ValueError, match="image id 2 is not in the annotations"):
        evaluate(index, one([[0, 0, 1, 1]], [0.5], image=2))
    with pytest.raises(ValueError, match="label 4 must be from 0 to 3"):
        evaluate(index, one([[0, 0, 1, 1]], [0.5], labels=[4]))
    with pytest.raises(ValueError, match="image id 1 has a box or score that is not finite"):
        evaluate(index, one([[0, 0, 1, 1]], [np.nan]))
    with pytest.raises(ValueError, match=r"boxes has shape \(1, 3\)"):
        Results(np.ones(1), np.ones(1), np.ones((1, 3)), np.ones(1), np.ones(1))


def same(a, b):
    for name in Matches.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_matches_survive_the_disk(tmp_path, kind):
    index, results = world(4, ties=True)
    # Scores that differ in float64 alone must not tie on the disk.
    spread = np.arange(len(results)) * (0 if kind is np.float32 else 1e-12)
    results = Results(
        results.image_ids, results.labels, results.boxes, results.scores.astype(kind) + spread, results.quality
    )
    found = evaluate(index, results)
    path = tmp_path / "e.npz"
    found.matches.save(path)
    read = Matches.load(path)
    same(found.matches, read)
    assert average_precision(read) == average_precision(found.matches)
    before = path.read_bytes()
    read.save(path)
    assert path.read_bytes() == before
    empty = evaluate(index, Results.join([])).matches
    empty.save(path)
    same(Matches.load(path), empty)


def test_foreign_matches_are_refused_by_name(tmp_path):
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"torn\.npz: not a file of matches"):
        Matches.load(tmp_path / "torn.npz")
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    with pytest.raises(ValueError, match=r"other\.npz: not a file of matches"):
        Matches.load(tmp_path / "other.npz")


def test_five_hundred_images_take_at_most_200_kb(tmp_path):
    index, results = world(9, images=500, per_image=12, false=50)
    assert len(results) > 15_000
    found = evaluate(index, results)
    found.matches.save(tmp_path / "e.npz")
    assert (tmp_path / "e.npz").stat().st_size <= 200_000
    same(Matches.load(tmp_path / "e.npz"), found.matches)


def test_the_project_s_own_index_is_evaluated_alike(tmp_path):
    from paa.datasets.formats.coco_index import CocoIndex
    from paa.files import write_json

    index, results = world(3)
    write_json(tmp_path / "val.json", index.to_coco().dataset)
    read = CocoIndex.read(tmp_path / "val.json", tmp_path)
    ours = np.array([list(read.category_ids).index(c) for c in index.category_ids])  # labels follow the category ids
    moved = Results(results.image_ids, ours[results.labels], results.boxes, results.scores, results.quality)
    found, wanted = evaluate(read, moved), evaluate(index, results)
    assert found.numbers == wanted.numbers
    assert found.per_class == wanted.per_class
    assert found.iou_error == wanted.iou_error
