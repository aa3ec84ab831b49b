"""Explain differences between an exact implementation and the golden arrays: what rounding decides there.

Every function names one reason, or says None: then a difference is one of rules.
"""

from __future__ import annotations

import numpy as np
import torch
from explained import rounding, tie
from official_arrays import Case

from paa.boxes import centers, iou_matrix
from paa.structures import Assignment

NEAR = 2e-6
"""IoUs closer than this are ordered by float32 rounding; `fragile_iou_count` of the files uses the same width."""
GAP = 1e-5
"""The same for scores and log densities, as in the files' README."""
PIXELS = 2e-4
"""The same for distances: a unit of the last digit of a thousand pixels is 6e-5."""
TOPK = 9


def overlaps(case: Case, b: int) -> torch.Tensor:
    """Return the IoU [2, G, A] of an image's ground truths with all anchors, in float32 and in float64."""
    boxes = torch.from_numpy(case.arrays["gt_boxes"][slice(*case.arrays["gt_offsets"][b : b + 2])])
    single = iou_matrix(boxes, case.anchors.boxes, legacy=True)
    return torch.stack((single.double(), iou_matrix(boxes.double(), case.anchors.boxes.double(), legacy=True)))


def undecided(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return where rounding decides which IoU [2, ...] is greater; if equal in both types they are equal."""
    gap = (a - b).abs()
    return (gap.amin(0) < NEAR) & (gap.amax(0) > 0)


def why_matched(iou: torch.Tensor, anchor: int, thresholds: tuple[float, ...] = (0.1,)) -> str | None:
    """Explain an anchor that is matched to another ground truth, given `overlaps` of its image."""
    own = iou[..., anchor]
    best = int(own[1].argmax())
    for threshold in thresholds:
        if (own[:, best] - threshold).abs().min() < NEAR:
            return f"its best IoU is {threshold} to {NEAR:g}"
    if undecided(own, own[:, best, None]).any():
        return "it overlaps two ground truths alike"
    reached = iou[1].argmax(1)
    highest = iou[:, torch.arange(len(reached)), reached]
    close = undecided(iou, highest[..., None])
    if (close[:, anchor] | ((reached == anchor) & close.any(1))).any():
        return "it reaches the best IoU of a ground truth, or nearly so"
    return None


def why_candidates(case: Case, matched: np.ndarray, b: int, g: int, i: int) -> str | None:
    """Explain other candidates of a ground truth; matched [B, A]: our ground truth of each anchor."""
    moved = np.flatnonzero((matched[b] == g) != (case.arrays["matched_idxs"][b] == g))
    if len(moved):
        whys = [why_matched(overlaps(case, b), a) for a in moved]
        return None if None in whys else f"anchor {moved[0]} is matched otherwise: {whys[0]}"
    if case.arrays["gt_topk_gap"][i] < GAP:
        return f"the 9th and the 10th score of a level are {case.arrays['gt_topk_gap'][i]:.1e} apart"
    return None


def why_positive(case: Case, assignment: Assignment, b: int, g: int, i: int, theirs: np.ndarray) -> str | None:
    """Explain other positives of a ground truth; theirs [A] bool: its positive anchors in the arrays."""
    why = why_candidates(case, assignment.extras["matched"].numpy(), b, g, i)
    if why:
        return why
    if case.arrays["gt_score_gap"][i] < GAP:
        return f"the peak leads by a log density of {case.arrays['gt_score_gap'][i]:.1e}"
    own = assignment.extras["candidates"][b, g][assignment.extras["candidate_valid"][b, g]]
    if len(own) < 2:
        return None
    positive = torch.from_numpy(theirs)[own]
    return rounding(case.built, assignment, b, g, positive) or tie(case.built, assignment, b, g)


def float_type(case: Case, i: int) -> str | None:
    """Explain positives that differ from those of the authors' mixture, which is fitted in float32."""
    counts = [int(case.arrays[key][i]) for key in ("gt_num_pos", "gt_num_pos_f64")]
    return None if counts[0] == counts[1] else f"{counts[0]} by their fit in float32, {counts[1]} in float64"


def twins(case: Case, b: int, ours: int, theirs: int) -> str | None:
    """Explain equal ground truths: the arrays identify them by their boxes and always name the first."""
    first = case.arrays["gt_offsets"][b]
    alike = min(ours, theirs) >= 0 and all(
        np.array_equal(case.arrays[key][first + ours], case.arrays[key][first + theirs])
        for key in ("gt_boxes", "gt_labels")
    )
    return "two ground truths are alike" if alike else None


def why_baseline(case: Case, b: int, anchor: int) -> str | None:
    """Explain another label by the IoU assigner."""
    iou = overlaps(case, b)
    best = int(iou[1, :, anchor].argmax())
    return why_matched(iou, anchor, (0.5, 0.4)) or _at_the_rim(case, b, best, anchor)


def why_atss(case: Case, b: int, anchor: int, gts: set[int]) -> str | None:
    """Explain another ground truth by ATSS; gts: those that either implementation has for the anchor."""
    iou = overlaps(case, b)
    for g in sorted(gts):
        gap = case.arrays["gt_distance_gap"][case.arrays["gt_offsets"][b] + g]
        if gap < PIXELS:
            return f"the 9th and 10th nearest anchors of a level are {gap:.0e} pixels apart in distance"
        if abs(float(iou[1, g, anchor]) - _threshold(case, b, g, iou[1, g])) < NEAR:
            return "its IoU is the mean and the deviation of the candidates'"
        if why := _at_the_rim(case, b, g, anchor):
            return why
    if len(gts) == 2 and undecided(iou[:, min(gts), anchor], iou[:, max(gts), anchor]):
        return "it overlaps two ground truths alike"
    return None


def _box(case: Case, b: int, g: int) -> torch.Tensor:
    return torch.from_numpy(case.arrays["gt_boxes"][case.arrays["gt_offsets"][b] + g]).double()


def _at_the_rim(case: Case, b: int, g: int, anchor: int) -> str | None:
    point, box = centers(case.anchors.boxes[anchor].double()), _box(case, b, g)
    inside = float(torch.cat((point - box[:2], box[2:] - point)).min())
    return "its center is 0.01 pixels inside" if abs(inside - 0.01) < PIXELS else None


def _threshold(case: Case, b: int, g: int, iou: torch.Tensor) -> float:
    """Return mean plus unbiased deviation of the IoUs of the nine nearest anchors of each level."""
    distance = (centers(case.anchors.boxes.double()) - centers(_box(case, b, g))).norm(dim=-1)
    values = [
        own[near.topk(min(TOPK, len(near)), largest=False).indices]
        for near, own in zip(distance.split(case.anchors.counts), iou.split(case.anchors.counts), strict=True)
    ]
    return float(torch.cat(values).mean() + torch.cat(values).std())
