"""Evaluation against pycocotools used the ordinary way, and AP from matches against a whole new evaluation."""

import numpy as np
import pytest
from average_precision import average_precision
from coco_reference import Index, copies, one, reference, truth, world

from paa.evaluation import Matches, Results, evaluate
from paa.evaluation.coco import NUMBERS


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
