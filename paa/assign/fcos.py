"""FCOS: every location in a ground truth is positive, on the level of its size (Tian et al., ICCV 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from paa.assign.matching import non_empty
from paa.assign.pairs import by_parts, center_margin, distances, least, least_of_parts, per_anchor
from paa.boxes import centers, sides
from paa.checks import Checked, OutOfRange, checked, flag, number, sequence
from paa.structures import IGNORED, NEGATIVE, Anchors, Assignment, Predictions, Targets


@dataclass(eq=False)
class FCOS(Checked):
    """Positive: anchors whose center lies in a GT, of the level in whose range the GT's farthest side lies.

    An anchor in several GTs goes to the smallest one (ties: the lowest).

    radius  only centers within so many strides of the GT's center, in x and y, are positive; 0: all in the GT.
    ranges  upper ends of the levels' ranges, pixels, of all levels but the last; both ends are in.
    legacy  inclusive-pixel area.
    """

    radius: float = checked(number, 1.5, low=0)
    ranges: Sequence[float] = (64, 128, 256, 512)
    legacy: bool = checked(flag, False)

    def __post_init__(self) -> None:
        super().__post_init__()
        ends = [number(f"ranges[{i}]", end, above=0) for i, end in enumerate(sequence("ranges", self.ranges, "a list"))]
        if ends != sorted(ends):
            raise OutOfRange("ranges", f"={list(self.ranges)}: must be numbers that ascend")

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, predictions: Predictions, targets: Targets, progress: float = 0.0
    ) -> Assignment:
        """Assigns the anchors of a batch; neither predictions nor progress matter."""
        targets = non_empty(targets)
        if len(self.ranges) != len(anchors.strides) - 1:
            right = f"the ends of {len(anchors.strides)} levels but the last"
            raise OutOfRange("ranges", f"={list(self.ranges)}: must be {len(anchors.strides) - 1} numbers, {right}")
        points = centers(anchors.boxes)
        low = per_anchor(anchors, (-1, *self.ranges))
        high = per_anchor(anchors, (*self.ranges, torch.inf))
        reach = self.radius * per_anchor(anchors, anchors.strides)

        def smallest(part: Targets, first: int) -> tuple[Tensor, ...]:
            to_sides = distances(points, part.boxes)
            farthest = reduce(torch.maximum, to_sides)
            fits = (reduce(torch.minimum, to_sides) > 0) & (farthest >= low) & (farthest <= high)
            if self.radius:
                fits &= center_margin(points, part.boxes, reach) > 0
            fits &= part.valid.unsqueeze(-1)
            area = sides(part.boxes, self.legacy).prod(-1, keepdim=True)
            return least(area.where(fits, torch.inf), first)

        area, gt = least_of_parts(*by_parts(smallest, targets, len(points)))
        gt_index = gt.where(area < torch.inf, NEGATIVE)
        return Assignment(gt_index.where(anchors.inside, IGNORED))
