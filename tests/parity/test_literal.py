"""The composed objects against the literal implementation (`literal_*.py`), on random images of every kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from composed import anchors_of, assign, parts
from differences import Differences
from explained import tie
from literal_assign import Image, gt_index, matched, scores
from literal_detect import Found, detect
from literal_losses import losses
from literal_rules import RULES, Rules
from random_images import images_of, tensors_of

from paa.experiment.parts import Components
from paa.structures import Anchors, Assignment, Detections, Predictions, Targets

CHUNK = 50
"""Scenes of a test."""
FEW, MANY = {"official": 100, "mmdet": 100, "paper": 50}, {"official": 5000, "mmdet": 5000, "paper": 500}
"""Scenes of each preset in every run, and with `-m slow`. `paper` differs from `official` in six keys."""
ALWAYS = [(preset, first) for preset, count in FEW.items() for first in range(0, count, CHUNK)]
SLOW = [(preset, first) for preset, count in MANY.items() for first in range(FEW[preset], count, CHUNK)]
MAPS = {"cls": "logits", "reg": "deltas", "iou": "auxiliary"}


@dataclass
class Scene:
    """A batch in both forms, with our assignment of it."""

    name: str
    against: str
    rules: Rules
    built: Components
    images: list[Image]
    sizes: torch.Tensor
    predictions: Predictions
    targets: Targets
    anchors: Anchors
    assignment: Assignment


@dataclass
class Count:
    """Numbers of labels and ground truths, and how many differ."""

    candidates: int = 0
    labels: int = 0
    gts: int = 0
    counts: int = 0


def scene_of(preset: str, seed: int) -> Scene:
    rules, built = RULES[preset], parts(preset)
    images = images_of(seed, rules, large=seed % 100 == 99, empty=preset == "mmdet")
    predictions, targets = tensors_of(images)
    for name in MAPS.values():
        getattr(predictions, name).requires_grad_()
    sizes = torch.tensor([image.size for image in images])
    anchors = anchors_of(built, sizes, images[0].padded)
    assignment = assign(built, anchors, predictions, targets)
    against = f"{preset}, literal implementation"
    return Scene(f"scene {seed}", against, rules, built, images, sizes, predictions, targets, anchors, assignment)


@pytest.mark.parametrize(("preset", "first"), ALWAYS)
def test_scenes(preset: str, first: int, differences: Differences) -> None:
    compare(preset, range(first, first + CHUNK), differences)


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "first"), SLOW)
def test_more_scenes(preset: str, first: int, differences: Differences) -> None:
    compare(preset, range(first, first + CHUNK), differences)


def compare(preset: str, seeds: range, differences: Differences) -> None:
    count = Count()
    for seed in seeds:
        scene = scene_of(preset, seed)
        compare_assignments(scene, count, differences)
        compare_losses(scene, differences)
        compare_detections(scene, differences)
    against = f"{preset}, literal implementation"
    differences.share(against, "labels of candidates", count.labels, count.candidates)
    differences.share(against, "positives of a ground truth", count.counts, count.gts)
    assert count.labels <= 0.001 * count.candidates
    assert count.counts <= 0.005 * count.gts


def compare_assignments(scene: Scene, count: Count, differences: Differences) -> None:
    extras, ours = scene.assignment.extras, scene.assignment.gt_index.numpy()
    for b, image in enumerate(scene.images):
        belongs = matched(scene.rules, image)
        assert extras["matched"][b].tolist() == belongs, f"{scene.name}, image {b}: matching"
        values = scores(scene.rules, image, belongs)
        of_gt = np.array(belongs) >= 0
        mine = np.where(of_gt, extras["scores"][b].numpy(), np.inf).astype(np.float32)
        scale = np.maximum(values[of_gt], 1)
        differences.within(2e-6, scene.against, "scores", mine[of_gt] / scale, values[of_gt] / scale)
        theirs = np.array(gt_index(scene.rules, image, belongs, values))
        wrong = theirs != ours[b]
        of_ours = np.array(gt_index(scene.rules, image, belongs, mine)) if wrong.any() else theirs
        count.candidates += int(extras["candidate_valid"][b].sum())
        count.labels += int(wrong.sum())
        for g in range(len(image.boxes)):
            count.gts += 1
            if ((theirs == g) != (ours[b] == g)).any():
                count.counts += 1
                rounding = ((of_ours == g) == (ours[b] == g)).all()
                why = "the last digits of the scores decide" if rounding else tie(scene.built, scene.assignment, b, g)
                differences.tell(f"{scene.against}, {scene.name}, ground truth {g} of image {b}: {why}")
                assert why, f"{scene.name}, ground truth {g} of image {b}: nothing explains the difference"


def compare_losses(scene: Scene, differences: Differences) -> None:
    indices = list(scene.assignment.gt_index.numpy())
    found = scene.built.criterion(scene.predictions, scene.anchors, scene.targets, scene.assignment)
    torch.stack(list(found.values())).sum().backward()
    theirs, slopes = losses(scene.rules, scene.images, indices)
    for part, value in theirs.items():
        ours = found[part].item()
        differences.within(1e-5, scene.against, f"loss parts, {part}", ours, value, relative=bool(value))
    for kind, name in MAPS.items():
        right = np.stack(slopes[kind])
        terms = np.stack(slopes["reg_terms"]) if kind == "reg" else np.abs(right).max()
        gradient = getattr(scene.predictions, name).grad.double().numpy()
        # where large terms cancel, what is left is known no better than to the rounding of the terms
        gap = np.abs(gradient - right) / np.maximum(np.abs(right) + 1e-2 * terms, np.finfo(np.float64).tiny)
        differences.most(1e-4, scene.against, f"gradients of {kind}, relative", float(gap.max()))


def compare_detections(scene: Scene, differences: Differences) -> None:
    detached = Predictions(*(getattr(scene.predictions, name).detach() for name in MAPS.values()))
    postprocess = scene.built.postprocess
    selection = postprocess.select(detached, scene.anchors, scene.sizes, scene.built.auxiliary, scene.sizes)
    plain, voted = (postprocess.finish(selection, voting=voting) for voting in (False, True))
    for b, image in enumerate(scene.images):
        found = detect(scene.rules, image)
        if len(plain[b]) != len(found.scores) and found.margin < 1e-6:
            differences.tell(f"{scene.against}, {scene.name}: an IoU at NMS or a score at the cut ties")
            continue
        assert len(plain[b]) == len(found.scores), f"{scene.name}, image {b}, margin {found.margin}"
        compare_boxes(scene.against, plain[b], found, found.boxes, differences)
        compare_boxes(scene.against, voted[b], found, found.voted, differences)


def compare_boxes(against: str, ours: Detections, found: Found, boxes: np.ndarray, differences: Differences) -> None:
    mine = np.lexsort((ours.scores.numpy(), ours.labels.numpy()))
    theirs = np.lexsort((found.scores, found.labels))
    assert np.array_equal(ours.labels.numpy()[mine], found.labels[theirs])
    differences.within(1e-6, against, "detections, scores", ours.scores.numpy()[mine], found.scores[theirs])
    differences.within(1e-3, against, "detections, pixels", ours.boxes.numpy()[mine], boxes[theirs])
