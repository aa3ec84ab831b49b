"""Multi-scale testing: one image's detections from many passes, brought together (paper, Table 3; authors' code).

Every pass is a complete test with NMS and voting. Here its boxes are selected by their size in that pass,
taken to the pixels of the first one, and merged class by class.

Legend: N pooled detections of an image, D detections after merging.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from paa import checks
from paa.boxes import iou_matrix, iou_pairs, sides
from paa.checks import Checked, checked, choice, flag, integer, number
from paa.structures import Detections

MERGES = ("soft_vote", "vote", "nms")

_LARGEST = 2**23
"""Pairs of boxes compared in one step: some 64 MB a temporary in float64."""


@dataclass(eq=False)
class MultiScale(Checked):
    """The scales of a test, and how their detections are merged.

    short            short sides beside the test's own, pixels: scale 0 is the test's own, scale i is short[i - 1].
    sides            per scale of `short` (low, high): of its boxes those stay whose square root of the area lies
                     between the two, in pixels of that scale; None: all stay. Of scale 0 all stay.
    longest          most pixels of the longer side of scales below `large`; None: no bound.
    large            a short side from here on is a large scale.
    longest_large    most pixels of the longer side of large scales; None: no bound.
    mirror           whether every scale, 0 too, is tested on the mirror image as well.
    merge            "soft_vote", "vote" or "nms": see `merged`, also for vote_iou, floor, nms_iou and max_detections.
    legacy           inclusive-pixel areas, IoU and mirroring.
    Out-of-range arguments raise checks.OutOfRange.
    """

    short: Sequence[int]
    sides: Sequence[Sequence[float]] | None = None
    longest: int | None = 1333
    large: int = checked(integer, 800, low=1)
    longest_large: int | None = 3000
    mirror: bool = checked(flag, True)
    merge: str = checked(choice, "soft_vote", choices=MERGES)
    vote_iou: float = checked(number, 0.66, above=0, high=1)
    floor: float = checked(number, 0.05, low=0, high=1)
    nms_iou: float = checked(number, 0.6, low=0, high=1)
    max_detections: int = checked(integer, 1000, low=1)
    legacy: bool = checked(flag, False)

    def __post_init__(self) -> None:
        for side in checks.sequence("short", self.short, "a list of short sides in pixels, integers from 1"):
            integer("short", side, low=1)
        self.sides = None if self.sides is None else _ranges(self.sides, len(self.short))
        super().__post_init__()
        for name in ("longest", "longest_large"):
            if (longest := getattr(self, name)) is not None:
                integer(name, longest, low=1)
                short = max((s for s in self.short if (s >= self.large) == (name == "longest_large")), default=0)
                if short > longest:
                    raise checks.OutOfRange(name, f"={longest} is below the short side {short} of such a scale")

    @property
    def sizes(self) -> list[tuple[int, int | None]]:
        """(short side, bound of the longer side) of each scale but the test's own."""
        return [(side, self.longest if side < self.large else self.longest_large) for side in self.short]

    def back(self, found: Detections, scale: int, size: Tensor, first: Tensor, mirrored: bool) -> Detections:
        """Return the selected detections of a pass, in pixels of scale 0.

        scale        of the pass, from 0. mirrored: whether it saw the mirror image.
        size, first  [2] (h, w) of the image inside its padding, at that scale and at scale 0.
        """
        if scale and self.sides is not None:
            low, high = self.sides[scale - 1]
            found = found[within(found.boxes, low, high, self.legacy)]
        boxes = found.boxes
        if mirrored:
            boxes = mirror(boxes, int(size[1]), self.legacy)
        if scale:
            ratio = (first.double() / size.double()).flip(0).repeat(2)
            boxes = (boxes.double() * ratio.to(boxes.device)).to(boxes.dtype)
        return Detections(boxes, found.scores, found.labels, found.quality)

    @torch.no_grad()
    def merged(self, passes: Sequence[Detections]) -> Detections:
        """Merge the detections of all passes of an image, as `back` returns them; best score first.

        Class by class the best box that is left takes all that overlap it (see `leaders`), until none is left.
        "nms": those with IoU > `nms_iou`, and they are dropped.
        "vote": those with IoU >= `vote_iou`; the box of the group is the mean of its boxes, weighted by their scores,
        its score the best one's.
        "soft_vote": the same, and each box of the group but the best is a detection of its own, with its own box and
        the score s (1 - IoU with the best) where that is at least `floor` (authors' code, `soft_bbox_vote`).

        A single box stays as it is. Predicted quality is that of the box that the score is of. All that tie the last of
        `max_detections` stay. Sums and IoUs are computed in float64.
        """
        pooled, nms = Detections.join(passes), self.merge == "nms"
        leader = leaders(pooled, self.nms_iou if nms else self.vote_iou, including=not nms, legacy=self.legacy)
        best = leader == torch.arange(len(leader), device=leader.device)
        boxes, scores, stays = pooled.boxes.double(), pooled.scores.double(), best
        if self.merge != "nms":
            sums = torch.zeros_like(boxes).index_add_(0, leader, boxes * scores.unsqueeze(1))
            weights = torch.zeros_like(scores).index_add_(0, leader, scores)
            size = torch.zeros_like(leader).index_add_(0, leader, torch.ones_like(leader))
            mean = sums / weights.clamp(min=torch.finfo(weights.dtype).tiny).unsqueeze(1)
            voted = torch.where((best & (size > 1) & (weights > 0)).unsqueeze(1), mean, boxes)
            if self.merge == "soft_vote":
                scores = torch.where(best, scores, scores * (1 - iou_pairs(boxes, boxes[leader], self.legacy)))
                stays = best | (scores >= self.floor)
            boxes = voted
        found = Detections(boxes.to(pooled.boxes.dtype), scores.to(pooled.scores.dtype), pooled.labels, pooled.quality)
        found = found[stays]
        found = found[found.scores.argsort(descending=True, stable=True)]
        most = self.max_detections
        return found if len(found) <= most else found[found.scores >= found.scores[most - 1]]


def leaders(pooled: Detections, iou: float, including: bool, legacy: bool, largest: int = _LARGEST) -> Tensor:
    """For each detection the one whose group it is in -> positions [N] int64; its own where it is the best of a group.

    Greedily from the best score: the best that is in no group yet begins one, and in it come all of its class that are
    in none and overlap it by more than `iou`, or by `iou` itself where `including`. Of equal scores the earlier first.
    largest: most pairs of boxes in one step.

    All classes and groups together: a detection begins a group as soon as every better one that it overlaps is known to
    be in the group of another. The rounds that this takes are the longest chain of such detections.
    """
    count, device = len(pooled), pooled.boxes.device
    order = pooled.scores.argsort(descending=True, stable=True)
    boxes, labels = pooled.boxes[order].double(), pooled.labels[order]
    better = torch.zeros(count, count, dtype=torch.bool, device=device)  # [i, j]: j is better than i, and overlaps it
    position = torch.arange(count, device=device)
    for rows in position.split(max(1, largest // max(1, count))):
        overlap = iou_matrix(boxes[rows], boxes, legacy)
        near = overlap >= iou if including else overlap > iou
        better[rows] = near & (labels[rows].unsqueeze(1) == labels) & (position < rows.unsqueeze(1))
    begins = torch.zeros(count, dtype=torch.bool, device=device)
    undecided = torch.ones_like(begins)
    while bool(undecided.any()):
        taken = (better & begins).any(1)
        new = undecided & ~taken & ~(better & undecided).any(1)
        undecided &= ~taken & ~new
        begins |= new
    first = (better & begins).to(torch.uint8).argmax(1) if count else position
    leader = torch.empty_like(position)
    leader[order] = order[torch.where(begins, position, first)]
    return leader


def within(boxes: Tensor, low: float, high: float, legacy: bool = False) -> Tensor:
    """Which boxes [N, 4] have a square root of their area above `low` and below `high` -> bool [N]."""
    area = sides(boxes.double(), legacy).prod(-1)
    return (area > low * low) & (area < high * high)


def mirror(boxes: Tensor, width: int, legacy: bool = False) -> Tensor:
    """Boxes [N, 4] in the mirror image of an image of so many columns: x becomes width - x, in legacy width - 1 - x."""
    edge = width - 1 if legacy else width
    return torch.stack((edge - boxes[:, 2], boxes[:, 1], edge - boxes[:, 0], boxes[:, 3]), 1)


def mirror_images(images: Tensor, sizes: Tensor) -> Tensor:
    """Images [B, 3, H, W] each mirrored within its own size, sizes [B, 2] (h, w); the padding stays where it is."""
    out = images.clone()
    for place, image, (h, w) in zip(out, images, sizes.tolist(), strict=True):
        place[:, :h, :w] = image[:, :h, :w].flip(-1)
    return out


def _ranges(sides: Sequence[Sequence[float]], count: int) -> tuple[tuple[float, float], ...]:
    what = f"{count} pairs [low, high], one for each of short, or null"
    found = []
    for i, pair in enumerate(checks.sequence("sides", sides, what, count)):
        low, high = checks.sequence(f"sides[{i}]", pair, "a pair [low, high]", 2)
        checks.number(f"sides[{i}]", low, low=0)
        found.append((float(low), float(checks.number(f"sides[{i}]", high, above=low))))
    return tuple(found)
