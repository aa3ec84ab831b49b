"""What follows a training and changes nothing in it: the tracker, and pictures of the assignment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.targets import TrainingBoxes
from paa.engine.core import TrainingCore
from paa.engine.metrics import read
from paa.engine.pictures import Pictures, Subjects, drawn_pictures
from paa.experiment.parts import Parts
from paa.store.paths import RunPaths
from paa.tracking import Tracker


def catch_up(tracker: Tracker, paths: RunPaths, start: int) -> None:
    """Tells the tracker what an earlier process of the same training left: it knows best what it has already."""
    lines: dict[int, list[dict[str, Any]]] = {}
    for line in read(paths.metrics):
        lines.setdefault(line["step"], []).append(line)
    pictures = {step: made for step, made in drawn_pictures(paths.images).items() if step < start}
    for step in sorted({*lines, *pictures}):
        for line in lines.get(step, []):
            tracker.line(line)
        tracker.pictures(step, pictures.get(step, []))


def pictures(
    parts: Parts,
    core: TrainingCore,
    data: tuple[CocoIndex, TrainingBoxes, np.ndarray],
    detector: nn.Module,
    device: torch.device,
    folder: Path,
    made: Callable[[int, list[Path]], None],
    warn: Callable[[str], None],
    stopping: Callable[[], bool],
) -> Callable[[int], None]:
    """What `tracking.images` asks for; `data` are the training split, its boxes, and the positions to train on.

    Where a stop was asked for, pictures are left to who goes on.
    """
    settings, config = parts.tracking.images, parts.config
    steps = settings.within(parts.schedule.steps)
    if not steps:
        return lambda step: None
    index, truths, chosen = data
    subjects = Subjects.choose(
        index,
        truths,
        chosen,
        parts.train_transform(detector.backbone),  # type: ignore[arg-type]
        seed=config["seed"],
        count=settings.count,
        rule=config["images"]["boxes"],
        legacy=config["images"]["legacy"],
    )
    # Not through the compiled network, which would be compiled again for a batch of one.
    core = replace(core, network=None)
    draw = Pictures(core, detector, device, subjects, steps, parts.schedule.steps, folder, made, warn)
    return lambda step: None if stopping() else draw(step)
