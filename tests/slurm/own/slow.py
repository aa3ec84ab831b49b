"""A boundary that takes its time, so that a training of small steps lasts long enough to be disturbed.

It is a boundary of one's own as in docs/own-boundary.md. PAA_STEPS names a folder in which every step that is done
leaves a line, PAA_FAILS the tag of a training that fails at its tenth step.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from paa.assign.boundary import FNP


class Slow(FNP):
    """FNP, and `pause` seconds for each step of a training of `steps` steps."""

    def __init__(self, pause: float = 0.2, tag: int = 0, steps: int = 40) -> None:
        super().__init__(3)
        self.pause, self.tag, self.steps = pause, tag, steps

    def __call__(self, scores, valid, progress=0.0):
        if progress not in (0.0, 0.5, 1.0):  # those are tried before the training
            time.sleep(self.pause)
            step = round(progress * self.steps)
            if "PAA_STEPS" in os.environ:
                with (Path(os.environ["PAA_STEPS"]) / str(self.tag)).open("a") as file:
                    file.write(f"{step} {os.getpid()}\n")
            if step == 10 and os.environ.get("PAA_FAILS") == str(self.tag):
                raise RuntimeError(f"tag {self.tag} fails, as it was told to")
        return super().__call__(scores, valid, progress)
