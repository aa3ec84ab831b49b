"""Ours does not fail where another implementation raises or returns NaN."""

from __future__ import annotations

import hard_cases
import mmdetection
import numpy as np
import pytest
import torch
from composed import parts
from differences import Differences
from literal_assign import Image
from literal_rules import OFFICIAL
from mmdet_comparison import AGAINST, Step, step_of
from random_images import KINDS, image_of

from paa.structures import Detections, Predictions

WITH_MMDET = pytest.mark.filterwarnings("ignore")


def leaves(step: Step) -> list[torch.Tensor]:
    quality = step.predictions.auxiliary
    assert quality is not None
    return [step.predictions.logits, step.predictions.deltas, quality]


def detections_of(step: Step) -> Detections:
    """Return the detections of the first image, stored in the size that the network sees."""
    said, post = Predictions(*(t.detach() for t in leaves(step))), step.built.postprocess
    selection = post.select(said, step.anchors, step.sizes, step.built.auxiliary, step.sizes)
    return post.finish(selection, voting=True)[0]


def assert_trains(step: Step) -> None:
    """Assert that losses and all derivatives are finite."""
    losses = step.losses()
    assert np.isfinite(list(losses.values())).all(), losses
    assert all(leaf.grad is not None and leaf.grad.isfinite().all() for leaf in leaves(step))


@pytest.mark.parametrize("preset", ["official", "mmdet", "modern", "paper"])
def test_equal_scores(preset: str) -> None:
    step = step_of(parts(preset), [hard_cases.equal_scores()])
    found = step.assignment.extras
    scores = found["candidate_scores"][found["candidate_valid"]]
    assert len(scores) > 10
    assert preset != "mmdet" or scores.max() - scores.min() < 1e-5  # the boxes are decoded from its own anchors
    assert step.assignment.positive.sum() >= 1
    assert_trains(step)


@WITH_MMDET
def test_mmdetection_raises_on_equal_scores(differences: Differences) -> None:
    mmdetection.require()
    from mmdet_heads import PAA, float64_mixtures, losses_of

    image = hard_cases.equal_scores()
    with pytest.raises(ValueError, match="ill-defined empirical covariance") as raised:
        losses_of(PAA, [image], 3)
    assert_trains(step_of(parts("mmdet"), [image]))
    differences.fails(AGAINST, "equal scores", f"ValueError: {str(raised.value).partition(' (')[0]}")
    with float64_mixtures():
        assert np.isfinite(list(losses_of(PAA, [image], 3)[0].values())).all()


@pytest.mark.parametrize("preset", ["mmdet", "modern"])  # with + 1 no box is without area
def test_boxes_without_area_stay_as_they_are(preset: str) -> None:
    step = step_of(parts(preset), [hard_cases.boxes_off_the_image()])
    found = detections_of(step)
    flat = (found.boxes[:, 2:] == found.boxes[:, :2]).any(1)
    assert flat.any()
    assert found.boxes.isfinite().all()


@WITH_MMDET
def test_mmdetection_votes_them_to_nan(differences: Differences) -> None:
    mmdetection.require()
    from mmdet_heads import PAA
    from mmdet_heads import detections_of as theirs_of

    image = hard_cases.boxes_off_the_image()
    theirs = theirs_of(PAA, [image], [image.size], 3, voting=True)[0]
    ours = detections_of(step_of(parts("mmdet"), [image]))
    assert len(theirs.scores) == len(ours.scores)
    lost = ~theirs.bboxes.isfinite().all(1)
    assert lost.any()
    assert not lost.all()
    assert ours.boxes.isfinite().all()
    differences.fails(AGAINST, "voting of boxes without area", f"{int(lost.sum())} of {len(lost)} boxes are NaN")


@pytest.mark.parametrize("preset", ["official", "mmdet", "modern", "paper"])
def test_a_logit_of_minus_infinity(preset: str) -> None:
    assert_trains(step_of(parts(preset), [hard_cases.a_logit_of_minus_infinity()]))


@WITH_MMDET
def test_mmdetection_makes_the_loss_of_it_nan(differences: Differences) -> None:
    mmdetection.require()
    from mmdet_heads import PAA, losses_of

    image = hard_cases.a_logit_of_minus_infinity()
    losses, _, _ = losses_of(PAA, [image], 3)
    assert np.isnan(losses["cls"])
    assert_trains(step_of(parts("mmdet"), [image]))
    differences.fails(AGAINST, "a logit of minus infinity", "the class loss is NaN")


@pytest.mark.parametrize("assigner", ["paa", "atss", "max_iou"])
def test_an_image_without_ground_truth_and_levels_of_one_anchor(assigner: str) -> None:
    """The authors' code needs a ground truth in every image, and its ATSS nine anchors on every level."""
    draw = np.random.default_rng(0)
    images: list[Image] = [
        image_of(kind, "trained", count, 4, (128, 120), (128, 128), OFFICIAL, draw)
        for kind, count in ((KINDS[0], 5), (KINDS[0], 0))
    ]
    step = step_of(parts("official", f"assign={assigner}"), images)
    assert step.anchors.counts[-2:] == (4, 1)
    assert step.assignment.positive[0].any()
    assert (step.assignment.gt_index[1] == -1).all()
    assert_trains(step)
    assert torch.isfinite(detections_of(step).boxes).all()
