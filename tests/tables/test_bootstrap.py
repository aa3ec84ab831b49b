"""The paired bootstrap: against a loop of whole COCO evaluations, and what it refuses."""

import numpy as np
import pytest
from coco_reference import copies, reference, world

from paa.evaluation import Results, evaluate
from paa.tables.bootstrap import Bootstrap, PairingError, Term
from paa.tables.bootstrap_ap import draw, resampled

DRAWS = 12


def worse(results, seed):
    """The detections of a worse detector of the same images: boxes moved, scores drawn anew."""
    rng = np.random.default_rng(seed)
    boxes = results.boxes + rng.normal(0, 6, results.boxes.shape).astype(np.float32)
    scores = rng.random(len(results)).astype(np.float32)
    return Results(results.image_ids, results.labels, np.abs(boxes), scores, results.quality)


@pytest.fixture(scope="module")
def detectors(tmp_path_factory):
    """The annotations, {row: {seed: detections}} and {row: {seed: file of matches}} of two rows and two seeds."""
    folder = tmp_path_factory.mktemp("matches")
    index, base = world(21, images=10)
    found = {"ours": {s: worse(base, s) for s in (0, 1)}, "theirs": {s: worse(base, 10 + s) for s in (0, 1)}}
    found["ours"][0] = base
    paths = {}
    for row, by_seed in found.items():
        paths[row] = {seed: folder / f"{row}_{seed}.npz" for seed in by_seed}
        for seed, results in by_seed.items():
            evaluate(index, results).matches.save(paths[row][seed])
    return index, found, paths


def test_equals_whole_evaluations_of_the_drawn_images(detectors):
    index, found, paths = detectors
    bootstrap = Bootstrap(DRAWS, seed=4)
    estimate = bootstrap.difference(paths["ours"], paths["theirs"])
    image_ids = np.array(sorted(index.image_ids))
    differences = []
    for row in draw(len(image_ids), DRAWS, seed=4):
        chosen = np.repeat(np.arange(len(image_ids)), row)
        ap = {
            name: [100 * reference(*copies(index, results, chosen, image_ids)).stats[0] for results in by_seed.values()]
            for name, by_seed in found.items()
        }
        differences.append(np.mean(ap["ours"]) - np.mean(ap["theirs"]))  # the same images for both, and for all seeds
    whole = {n: np.mean([100 * reference(index, r).stats[0] for r in by.values()]) for n, by in found.items()}
    assert estimate.difference == pytest.approx(whole["ours"] - whole["theirs"], abs=1e-9)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(np.percentile(differences, [2.5, 97.5])), abs=1e-9)
    smaller = min(sum(d < 0 for d in differences), sum(d > 0 for d in differences))
    assert estimate.p == min(1, 2 * (smaller + 1) / (DRAWS + 1))
    assert estimate.paired_seeds == (0, 1)
    assert np.mean(estimate.by_seed) == pytest.approx(estimate.difference)
    assert estimate.resamples == DRAWS


def test_a_difference_turned_round_has_the_other_sign_and_the_same_p(detectors):
    _, _, paths = detectors
    bootstrap = Bootstrap(200)
    one = bootstrap.difference(paths["ours"], paths["theirs"], "AP75")
    other = bootstrap.difference(paths["theirs"], paths["ours"], "AP75")
    assert (other.difference, other.low, other.high) == pytest.approx((-one.difference, -one.high, -one.low))
    assert other.p == one.p
    assert one.low < one.difference < one.high


def test_the_same_evaluation_differs_by_nothing(detectors):
    _, _, paths = detectors
    found = Bootstrap(50).difference(paths["ours"], paths["ours"])
    assert (found.difference, found.low, found.high) == pytest.approx((0, 0, 0), abs=1e-12)
    assert found.p == 1


def test_p_is_never_zero(detectors):
    _, _, paths = detectors
    found = Bootstrap(50).estimate([Term(1.0, paths["ours"])])
    assert found.low > 0
    assert found.p == pytest.approx(2 / 51)


def test_seeds_that_one_side_lacks_are_left_out(detectors):
    _, _, paths = detectors
    half = {0: paths["theirs"][0]}
    found = Bootstrap(50).difference(paths["ours"], half)
    assert found.paired_seeds == (0,)
    assert found.difference == Bootstrap(50).difference({0: paths["ours"][0]}, half).difference
    with pytest.raises(PairingError, match="no seed in common"):
        Bootstrap(5).difference({0: paths["ours"][0]}, {1: paths["theirs"][1]})


def test_evaluations_of_other_images_or_ground_truths_are_no_pair(detectors, tmp_path):
    index, found, paths = detectors
    other = tmp_path / "other.npz"
    counted = next(a for a in index.annotations if not a["iscrowd"])
    fewer = type(index)(index.image_ids, [a for a in index.annotations if a is not counted])
    evaluate(fewer, found["ours"][0]).matches.save(other)
    with pytest.raises(PairingError, match="evaluated on other images"):
        Bootstrap(5).difference({0: paths["ours"][0]}, {0: other})
    evaluate(type(index)(index.image_ids, []), found["ours"][0]).matches.save(other)
    with pytest.raises(PairingError, match="no ground truth"):
        Bootstrap(5).estimate([Term(1.0, {0: other})])
    with pytest.raises(FileNotFoundError):
        Bootstrap(5).estimate([Term(1.0, {0: tmp_path / "absent.npz"})])


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Sets of images are drawn from a large one, whose difference is then the truth: 95 % intervals mostly hold it."""
    images, some, trials = 300, 60, 30
    index, base = world(3, images=images, per_image=3, false=2)
    ours, theirs = (evaluate(index, worse(base, seed)).matches for seed in (1, 2))
    once = np.ones((1, images), dtype=int)
    true = (resampled(ours, once)["AP"] - resampled(theirs, once)["AP"])[0]
    rng, held = np.random.default_rng(0), 0
    for trial in range(trials):
        copies_of = np.zeros((120, images), dtype=int)
        copies_of[:, rng.choice(images, some, replace=False)] = draw(some, 120, seed=trial)
        differences = resampled(ours, copies_of)["AP"] - resampled(theirs, copies_of)["AP"]
        low, high = np.percentile(differences, [2.5, 97.5])
        held += low <= true <= high
    assert held >= 25  # of a binomial of 30 with 0.95, below 25 comes three times in a thousand
