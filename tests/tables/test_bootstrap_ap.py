"""AP of many resamples at once, against pycocotools on data sets in which every drawn image is an image of its own."""

import numpy as np
import pytest
from coco_reference import Index, copies, one, reference, truth, world

from paa.evaluation import Results, evaluate
from paa.tables.bootstrap_ap import draw, resampled


def places(row):
    """A draw as the list of its images."""
    return np.repeat(np.arange(len(row)), row)


@pytest.mark.parametrize("seed", range(2))
def test_equals_pycocotools_on_images_that_were_really_drawn(seed):
    index, results = world(seed)  # with crowds, and images without ground truth or detections
    matches = evaluate(index, results).matches
    drawn = draw(len(matches.image_ids), 5, seed)
    found = resampled(matches, drawn)
    for s, row in enumerate(drawn):
        stats = reference(*copies(index, results, places(row), matches.image_ids)).stats
        assert [found[name][s] for name in ("AP", "AP50", "AP75")] == pytest.approx(100 * stats[:3], abs=1e-9)


@pytest.mark.parametrize("ties", [False, True])
def test_each_image_once_is_the_evaluation_itself(ties):
    found = evaluate(*world(11, ties=ties, images=40))
    once = np.ones((1, 40), dtype=int)
    for name, values in resampled(found.matches, once).items():
        assert values[0] == pytest.approx(found.numbers[name])


def test_equal_scores_keep_the_copies_of_an_image_together():
    # A right and a wrong box of one score on one image, the right one first: of two copies both right ones come first.
    index = Index([1, 2], [truth([0, 0, 50, 50]), truth([0, 0, 50, 50], number=2, image=2)])
    matches = evaluate(index, one([[0, 0, 50, 50], [200, 200, 9, 9]], [0.5, 0.5])).matches
    assert resampled(matches, np.array([[2, 0]]))["AP"][0] == pytest.approx(100)


def test_the_size_of_a_chunk_changes_nothing():
    matches = evaluate(*world(5, images=20)).matches
    drawn = draw(20, 40)
    for cells in (1, 50):
        np.testing.assert_array_equal(resampled(matches, drawn, cells)["AP"], resampled(matches, drawn)["AP"])


def test_a_resample_without_ground_truth_has_no_number():
    index = Index([1, 2], [truth([0, 0, 50, 50])])
    matches = evaluate(index, one([[0, 0, 50, 50]], [0.5])).matches
    found = resampled(matches, np.array([[1, 1], [0, 2], [3, 0]]))["AP"]
    assert found[0] == found[2] == pytest.approx(100)
    assert np.isnan(found[1])
    nothing = evaluate(index, Results.join([])).matches
    assert resampled(nothing, np.array([[1, 1]]))["AP"][0] == 0


def test_every_draw_holds_as_many_images_and_the_seed_tells_which():
    drawn = draw(30, 500, seed=1)
    assert drawn.shape == (500, 30)
    assert (drawn.sum(axis=1) == 30).all()
    assert drawn.mean() == 1
    assert abs(drawn.var() - 29 / 30) < 0.05  # of a binomial of 30 draws with probability 1 / 30
    np.testing.assert_array_equal(drawn, draw(30, 500, seed=1))
    assert (drawn != draw(30, 500, seed=2)).any()
    assert drawn[0].tolist() == draw(30, 1, seed=1)[0].tolist()
