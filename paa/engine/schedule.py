"""Learning-rate schedules: pure functions of the step, so that a resumed run needs no state of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from paa import checks
from paa.checks import Checked, checked, choice, integer, number


class Schedule(Protocol):
    """`steps` optimizer steps; `factor(step)` multiplies the learning rate at a step counted from 0."""

    @property
    def steps(self) -> int:
        """Return the optimizer steps of the whole training."""

    def factor(self, step: int) -> float:
        """Return the multiplier of the learning rate at `step`."""


COUNTS = ("steps", "epochs")
WARMUPS = ("constant", "linear", "linear_last")

_EPOCHS = {90_000: (12, (8, 11)), 135_000: (18, (12, 16)), 180_000: (24, (16, 22))}
"""The paper's lengths in steps -> MMDetection's in epochs, with the epochs after which the learning rate falls."""

_EPOCH = 7330
"""Steps of an epoch of COCO's train2017 at 16 images: MMDetection trains on the 117266 images with annotations."""


def in_epochs(steps: int, count: str) -> int:
    """Return the optimizer steps of a training of `steps` in the paper; count="epochs": by MMDetection's schedule.

    90k, 135k and 180k become 12, 18 and 24 epochs. MMDetection has no counterpart of another length: it stays.
    """
    found = _epochs(steps, count)
    return steps if found is None else found[0] * _EPOCH


def milestones_in_epochs(steps: int, count: str) -> list[float]:
    """Return its milestones as fractions: 2/3 and 8/9, or MMDetection's; arguments as of `in_epochs`."""
    epochs, milestones = _epochs(steps, count) or (9, (6, 8))
    return [round(milestone / epochs, 7) for milestone in milestones]


def _epochs(steps: int, count: str) -> tuple[int, tuple[int, int]] | None:
    """MMDetection's epochs and milestones of a length; None where it has none, or is not requested."""
    checks.choice("compat.length", count, COUNTS)
    return _EPOCHS.get(steps) if count == "epochs" and isinstance(steps, int) else None


@dataclass(frozen=True)
class MultiStep(Checked):
    """Warm-up, then lr x gamma at each milestone (paper, section 4.1: 60k and 80k of 90k steps).

    milestones    fractions of `steps`, ascending, each in (0, 1].
    warmup        "constant": at warmup_factor x lr (authors' code). "linear": from it to lr, reached after the last
                  step of the warm-up. "linear_last": reached at that step (MMDetection's `LinearLR`).
    """

    steps: int = checked(integer, low=1)
    milestones: Sequence[float] = (2 / 3, 8 / 9)
    gamma: float = checked(number, 0.1, above=0, high=1)
    warmup: str = checked(choice, "constant", choices=WARMUPS)
    warmup_steps: int = checked(integer, 500, low=0)
    warmup_factor: float = checked(number, 1 / 3, above=0, high=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        for milestone in checks.sequence("milestones", self.milestones, "a list of ascending fractions of the steps"):
            number("milestones", milestone, above=0, high=1)
        if list(self.milestones) != sorted(self.milestones):
            raise checks.OutOfRange("milestones", f"={list(self.milestones)}: must be ascending fractions of the steps")

    def factor(self, step: int) -> float:
        """Return the warm-up factor times gamma to the number of milestones passed."""
        passed = sum(step >= round(milestone * self.steps) for milestone in self.milestones)
        value = self.gamma**passed
        if step < self.warmup_steps:
            length = self.warmup_steps - (self.warmup == "linear_last")
            done = 0.0 if self.warmup == "constant" or not length else step / length
            value *= self.warmup_factor * (1 - done) + done
        return value


@dataclass(frozen=True)
class OneCycle(Checked):
    """Cosine rise from start_factor to 1 over `rise` of the steps, cosine fall to end_factor over the rest."""

    steps: int = checked(integer, low=1)
    rise: float = checked(number, 0.2, low=0, below=1)
    start_factor: float = checked(number, 0.04, above=0, high=1)
    end_factor: float = checked(number, 1e-4, low=0, high=1)

    def factor(self, step: int) -> float:
        """Return the value of the two cosines at `step`."""
        peak = self.rise * self.steps
        if step < peak:
            low, part = self.start_factor, step / peak
            return low + (1 - low) * (1 - math.cos(math.pi * part)) / 2
        low, part = self.end_factor, (step - peak) / max(self.steps - peak, 1)
        return low + (1 - low) * (1 + math.cos(math.pi * min(part, 1.0))) / 2
