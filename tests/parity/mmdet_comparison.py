"""Compare MMDetection's outputs for a batch (`mmdet_outputs.py`) with those of `compat=mmdet`."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from composed import anchors_of, assign, parts
from differences import Differences
from explained import equally_far, rounding, tie
from literal_assign import Image
from mmdet_outputs import Arrays
from random_images import tensors_of
from scenes import detect

from paa.experiment.parts import Components
from paa.postprocess import to_original
from paa.structures import Anchors, Assignment, Predictions, Targets

AGAINST = "mmdet, MMDetection's own code"
MAPS = {"cls": "logits", "reg": "deltas", "iou": "auxiliary"}


def compare(images: list[Image], original: np.ndarray, theirs: Arrays, differences: Differences) -> None:
    """Compare labels, losses, derivatives and detections of PAA and ATSS, and labels of the IoU baseline."""
    compare_labels(images, theirs, differences)
    compare_losses(images, theirs, differences)
    compare_detections(images, torch.from_numpy(original), theirs, differences)
    compare_atss(images, torch.from_numpy(original), theirs, differences)
    compare_baseline(images, theirs, differences)


@dataclass
class Step:
    """A batch as input of our code, and our assignment of it."""

    built: Components
    sizes: torch.Tensor
    anchors: Anchors
    predictions: Predictions
    targets: Targets
    assignment: Assignment

    @property
    def told(self) -> tuple[Predictions, Anchors, Targets]:
        return self.predictions, self.anchors, self.targets

    def losses(self, assignment: Assignment | None = None) -> dict[str, float]:
        """Return the loss parts of an assignment (default: ours); derivatives are accumulated in the predictions."""
        found = self.built.criterion(*self.told, assignment or self.assignment)
        torch.stack(list(found.values())).sum().backward()
        return {key: float(value.detach()) for key, value in found.items()}


def step_of(built: Components, images: list[Image]) -> Step:
    """Assign a batch whose predictions are leaves."""
    predictions, targets = tensors_of(images)
    for name in MAPS.values():
        getattr(predictions, name).requires_grad_()
    sizes = torch.tensor([image.size for image in images])
    anchors = anchors_of(built, sizes, images[0].padded)
    return Step(built, sizes, anchors, predictions, targets, assign(built, anchors, predictions, targets))


def compare_labels(images: list[Image], theirs: Arrays, differences: Differences) -> None:
    """Compare with labels of float64 mixtures, equal except for ties; report how many labels float32 changes."""
    step = step_of(parts("mmdet"), images)
    ours, extras = step.assignment.gt_index.numpy(), step.assignment.extras
    wrong = gts = 0
    for b, image in enumerate(images):
        for g in range(len(image.boxes)):
            gts += 1
            if ((ours[b] == g) != (theirs["gt_index"][b] == g)).any():
                wrong += 1
                candidates = extras["candidates"][b, g][extras["candidate_valid"][b, g]].numpy()
                positive = torch.from_numpy(theirs["gt_index"][b][candidates] == g)
                which = (step.built, step.assignment, b, g)
                why = tie(*which) or rounding(*which, positive)
                differences.tell(f"{AGAINST}, ground truth {g} of image {b}: {why}")
                assert why, f"ground truth {g} of image {b}: nothing explains the difference"
    differences.share(AGAINST, "positives of a ground truth", wrong, gts)
    assert wrong <= 1 + 0.005 * gts
    count = int(extras["candidate_valid"].sum())
    differences.share(AGAINST, "labels of candidates", int((ours != theirs["gt_index"]).sum()), count)
    if (theirs["float32"] == -3).all():
        differences.tell(f"{AGAINST}: with scores in float32, as released, its fit raises; ours does not")
    else:
        changed = sum(
            bool(((theirs["float32"][b] == g) != (theirs["gt_index"][b] == g)).any())
            for b, image in enumerate(images)
            for g in range(len(image.boxes))
        )
        differences.share(AGAINST, "its own positives, float32 for float64", changed, gts)


def compare_losses(images: list[Image], theirs: Arrays, differences: Differences) -> None:
    """Compare losses and derivatives of PAAHead and its assignment."""
    same_losses(step_of(parts("mmdet"), images), theirs, theirs["gt_index"], "", differences)


def same_losses(
    step: Step, theirs: Arrays, gt_index: np.ndarray, prefix: str, differences: Differences, name: str = ""
) -> None:
    """Assert that losses of an assignment [B, A] equal theirs to 1e-5 and derivatives to 1e-4.

    prefix, name  of the arrays, and of the parts in what is told.
    """
    for key, value in step.losses(Assignment(torch.from_numpy(gt_index.astype(np.int64)))).items():
        right = float(theirs[f"{prefix}loss_{key}"])
        differences.within(1e-5, AGAINST, f"loss parts{name}, {key}", value, right, relative=right != 0)
    for kind, part in MAPS.items():
        ours = getattr(step.predictions, part).grad.numpy().ravel()
        slope = f"{prefix}slope_{kind}"
        if slope in theirs:
            right = theirs[slope].ravel()
        else:
            ours, right = ours[theirs[f"{slope}_place"]], theirs[f"{slope}_value"]
        # an entry in which large terms cancel is known no better than to the rounding of the largest ones
        scale = np.abs(right) + 5e-2 * np.abs(right).max()
        gap = np.abs(ours - right) / np.maximum(scale, np.finfo(np.float32).tiny)
        differences.most(1e-4, AGAINST, f"gradients{name} of {kind}, relative", float(gap.max()))


def compare_baseline(images: list[Image], theirs: Arrays, differences: Differences) -> None:
    """Compare the labels of the IoU baseline."""
    step = step_of(parts("mmdet", "assign=max_iou"), images)
    right = theirs["iou_gt_index"]
    wrong = int((step.assignment.gt_index.numpy() != right).sum())
    differences.share(AGAINST, "ground truth of an anchor, IoU baseline", wrong, right.size)
    assert wrong == 0, f"IoU baseline: {wrong} labels differ"


def compare_atss(images: list[Image], original: torch.Tensor, theirs: Arrays, differences: Differences) -> None:
    """Compare ATSS: labels except for ties of distance, losses, derivatives and detections."""
    step = step_of(parts("mmdet", "assign=atss", "auxiliary=centerness"), images)
    ours, right = step.assignment.gt_index.numpy(), theirs["atss_gt_index"]
    tied = equally_far(step.anchors, step.targets, step.built.assigner.topk)
    differences.share(AGAINST, "ground truth of an anchor, ATSS", int((ours != right).sum()), right.size)
    for b, a in zip(*np.nonzero(ours != right), strict=True):
        either = [g for g in (ours[b, a], right[b, a]) if g >= 0]
        assert tied[b, either].any(), f"anchor {a} of image {b} differs, and no tie of distance explains it"
    if (ours != right).any():
        differences.tell(
            f"{AGAINST}, ATSS: anchors of a level are equally far from a ground truth, and theirs are others"
        )
    same_losses(step, theirs, right, "atss_", differences, ", ATSS")
    assert step.built.postprocess.voting is False
    same_detections(step, original, theirs, {"atss": False}, differences, ", ATSS")


def compare_detections(images: list[Image], original: torch.Tensor, theirs: Arrays, differences: Differences) -> None:
    """Compare detections of PAAHead, without and with voting."""
    same_detections(step_of(parts("mmdet"), images), original, theirs, {"plain": False, "vote": True}, differences)


def same_detections(
    step: Step,
    original: torch.Tensor,
    theirs: Arrays,
    kinds: dict[str, bool],
    differences: Differences,
    name: str = "",
) -> None:
    """Assert equal detections, boxes to 1e-3 pixel of the stored image.

    kinds  prefix of their arrays, and whether with voting; name: of the parts in what is told.
    """
    built, sizes = step.built, step.sizes
    detached = Predictions(*(getattr(step.predictions, part).detach() for part in MAPS.values()))
    selection = built.postprocess.select(detached, step.anchors, sizes, built.auxiliary, original)
    tying = copy(built.postprocess)
    tying.keep_ties = True
    every = detect(tying, detached, step.anchors, sizes, built.auxiliary, original)
    for kind, voting in kinds.items():
        for b, found in enumerate(built.postprocess.finish(selection, voting=voting)):
            own = slice(*theirs[f"{kind}_offsets"][b : b + 2])
            boxes, scores, labels = (theirs[f"{kind}_{part}"][own] for part in ("bboxes", "scores", "labels"))
            assert len(found) == len(scores), f"image {b}, {kind}: {len(found)} detections for {len(scores)}"
            xywh = to_original(found, sizes[b], original[b], built.postprocess.legacy).numpy()
            xyxy = np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), 1)
            ours_order = np.lexsort((found.scores.numpy(), found.labels.numpy()))
            order = np.lexsort((scores, labels))
            mine, right = found.scores.numpy()[ours_order], scores[order]
            differences.within(1e-6, AGAINST, f"detections{name}, scores", mine, right)
            if not np.array_equal(found.labels.numpy()[ours_order], labels[order]):
                tied = bool(right.max() == right.min()) & (len(every[b]) > len(right))
                assert tied, f"image {b}, {kind}: other detections, and no tie explains them"
                differences.tell(f"{AGAINST}{name}: all that are kept tie with one that is not, and theirs are others")
                continue
            finite = np.isfinite(boxes[order]).all(1)
            if voting:  # of no neighbors, where a box has no area
                differences.share(AGAINST, "its voted boxes, NaN for a number", int((~finite).sum()), len(finite))
            assert np.isfinite(xyxy).all()
            mine, right = xyxy[ours_order][finite], boxes[order][finite]
            differences.within(1e-3, AGAINST, f"detections{name}, pixels", mine, right)
