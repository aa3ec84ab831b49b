"""Pictures of the assignment during training: the same few images, at chosen steps, in the run's folder.

Beside each picture lies what it shows, as arrays: figures are drawn from these when the training is over.

Drawing changes no bit of the training: nothing random is drawn, no gradient is made, every module's mode is restored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from paa import checks
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.images import decode
from paa.datasets.loader import test_batches
from paa.datasets.rng import ORDER, Rng
from paa.datasets.targets import TrainingBoxes, training_boxes
from paa.datasets.transforms import Transform

if TYPE_CHECKING:
    from paa.engine.core import TrainingCore


@dataclass(eq=False)
class PictureSettings(checks.Checked):
    """When pictures are made, and of how many images.

    steps  integers are steps (0 is before the first), numbers with a point are parts of the schedule (0.5, 1.0).
    count  training images; they are the first with a ground truth in the order that the seed gives.
    """

    steps: Sequence[int | float] = ()
    count: int = checks.checked(checks.integer, 4, low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        for step in checks.sequence("steps", self.steps, "a list of steps, or of parts of the schedule (0.5)"):
            if isinstance(step, float):
                checks.number("steps", step, low=0, high=1)
            else:
                checks.integer("steps", step, low=0)

    def within(self, total: int) -> frozenset[int]:
        """Return the steps of a schedule of `total` steps; OutOfRange where one lies past its end."""
        late = [step for step in self.steps if not isinstance(step, float) and step > total]
        if late:
            raise checks.OutOfRange("steps", f"={list(self.steps)}: {late[0]} lies past the schedule's {total} steps")
        return frozenset(round(step * total) if isinstance(step, float) else step for step in self.steps)


def subjects(truths: TrainingBoxes, chosen: np.ndarray, seed: int, count: int) -> list[int]:
    """Return the positions of the first `count` images that training sees, of those (`chosen`) with a ground truth."""
    order = chosen[Rng(ORDER, seed, 0).permutation(len(chosen))]
    return [int(i) for i in order[truths.counts[order] > 0][:count]]


@dataclass(frozen=True)
class Pictures:
    """Draw what the assigner does with a few images, called after every step; see `__call__`.

    core    detector, anchors and assigner of the training, on `device`.
    index, positions  the images (`subjects`); transform, rule and legacy: how training sees them.
    total   steps of the schedule.
    folder  of all pictures: `folder`/step_00000500/<image id>.png, and beside each its arrays, <image id>.npz.
    made    is told of the pictures of a step, also of those that an earlier process drew.
    warn    is called if pictures cannot be written: training continues.
    """

    core: TrainingCore
    device: torch.device
    index: CocoIndex
    positions: Sequence[int]
    transform: Transform
    rule: str
    legacy: bool
    steps: frozenset[int]
    total: int
    folder: Path
    made: Callable[[int, list[Path]], None] = lambda step, paths: None
    warn: Callable[[str], None] = print

    def __call__(self, step: int) -> None:
        """Draw where `step` is one of `steps`, with the weights after so many steps; not what is drawn already."""
        if step not in self.steps:
            return
        paths = []
        for position in self.positions:
            path = picture_path(self.folder, step, int(self.index.image_ids[position]))
            try:
                if not (path.exists() and arrays_path(path).exists()):
                    self._draw(step, position, path)
            except OSError as error:
                reason = error.strerror or str(error)
                self.warn(f"warning: no picture {path}: {reason}; training continues")
                break
            paths.append(path)
        self.made(step, paths)

    def _draw(self, step: int, position: int, path: Path) -> None:
        from paa.drawing.assignment import Drawn, save_picture  # matplotlib is for those who want pictures

        index = self.index.subset(np.array([position]))
        truths = training_boxes(index, legacy=self.legacy, rule=self.rule)
        batch = next(iter(test_batches(index, self.transform, 1, truths=truths))).to(self.device)
        with torch.no_grad(), evaluating(self.core.detector):
            predictions, anchors = self.core.predict(batch)
            found = self.core.assigner(anchors, predictions, batch.targets, min(step / self.total, 1.0))
        image, (height, width) = decode(index, 0), batch.sizes[0].tolist()
        drawn = Drawn.of(np.asarray(image.resize((width, height))), index.category_names, batch, anchors, found)
        title = f"image {int(index.image_ids[0])}, step {step} of {self.total}: {type(self.core.assigner).__name__}"
        drawn.save(arrays_path(path))
        save_picture(drawn, title, path)


def picture_path(folder: Path, step: int, image_id: int) -> Path:
    """Return the picture of an image after `step` steps, below the `folder` of all pictures."""
    return folder / f"step_{step:08d}" / f"{image_id}.png"


def arrays_path(picture: Path) -> Path:
    """Return the file of what a picture shows, as `paa.drawing.assignment.Drawn.save` writes it."""
    return picture.with_suffix(".npz")


def drawn_pictures(folder: Path) -> dict[int, list[Path]]:
    """Return the pictures below `folder`, by step."""
    steps = sorted(folder.glob("step_*")) if folder.is_dir() else []
    return {int(step.name.split("_")[1]): sorted(step.glob("[!.]*.png")) for step in steps}


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Set evaluation mode within the block; afterward restore the mode of each part, frozen parts too."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
