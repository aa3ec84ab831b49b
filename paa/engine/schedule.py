"""Learning-rate schedules: pure functions of the step, so that a resumed run needs no state of theirs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from paa import checks


class Schedule(Protocol):
    """`steps` optimiser steps; `factor(step)` multiplies the learning rate at a step counted from 0."""

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole training."""

    def factor(self, step: int) -> float:
        """Multiplier of the learning rate at `step`."""


@dataclass(frozen=True)
class MultiStep:
    """Warm-up, then lr x gamma at each milestone (paper, section 4.1: 60k and 80k of 90k steps).

    milestones    fractions of `steps`, ascending, each in (0, 1].
    warmup        "constant" (at warmup_factor x lr; the authors' code) or "linear" (from it to lr; MMDetection).
    """

    steps: int
    milestones: Sequence[float] = (2 / 3, 8 / 9)
    gamma: float = 0.1
    warmup: str = "constant"
    warmup_steps: int = 500
    warmup_factor: float = 1 / 3

    def __post_init__(self) -> None:
        checks.integer("steps", self.steps, low=1)
        for milestone in checks.sequence("milestones", self.milestones, "a list of ascending fractions of the steps"):
            checks.number("milestones", milestone, above=0, high=1)
        if list(self.milestones) != sorted(self.milestones):
            raise checks.OutOfRange("milestones", f"={list(self.milestones)}: must be ascending fractions of the steps")
        checks.number("gamma", self.gamma, above=0, high=1)
        checks.choice("warmup", self.warmup, ("constant", "linear"))
        checks.integer("warmup_steps", self.warmup_steps, low=0)
        checks.number("warmup_factor", self.warmup_factor, above=0, high=1)

    def factor(self, step: int) -> float:
        """Warm-up factor times gamma to the number of milestones passed."""
        passed = sum(step >= round(milestone * self.steps) for milestone in self.milestones)
        value = self.gamma**passed
        if step < self.warmup_steps:
            done = step / self.warmup_steps if self.warmup == "linear" else 0.0
            value *= self.warmup_factor * (1 - done) + done
        return value


@dataclass(frozen=True)
class OneCycle:
    """Cosine rise from start_factor to 1 over `rise` of the steps, cosine fall to end_factor over the rest."""

    steps: int
    rise: float = 0.2
    start_factor: float = 0.04
    end_factor: float = 1e-4

    def __post_init__(self) -> None:
        checks.integer("steps", self.steps, low=1)
        checks.number("rise", self.rise, low=0, below=1)
        checks.number("start_factor", self.start_factor, above=0, high=1)
        checks.number("end_factor", self.end_factor, low=0, high=1)

    def factor(self, step: int) -> float:
        """Where `step` lies on the two cosines."""
        peak = self.rise * self.steps
        if step < peak:
            low, part = self.start_factor, step / peak
            return low + (1 - low) * (1 - math.cos(math.pi * part)) / 2
        low, part = self.end_factor, (step - peak) / max(self.steps - peak, 1)
        return low + (1 - low) * (1 + math.cos(math.pi * min(part, 1.0))) / 2
