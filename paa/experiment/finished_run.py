"""A finished run, opened to be drawn: what its files hold, and what network and assigner make of images of val."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from paa.assign import PAA
from paa.assign.boundary import MixtureBoundary
from paa.assign.candidates import best_per_level
from paa.config.compose import Composer
from paa.config.errors import ConfigError
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.images import decode
from paa.datasets.loader import test_batches
from paa.drawing.assignment import Drawn
from paa.engine.core import TrainingCore
from paa.engine.metrics import read
from paa.engine.pictures import arrays_path, drawn_pictures
from paa.evaluation.coco import matched
from paa.experiment.device import apply_process
from paa.experiment.evaluation import Evaluator
from paa.experiment.experiment import Experiment
from paa.experiment.parts import Components
from paa.experiment.reopen import find_finished, reopen
from paa.figures.detections import Detected, worth_showing
from paa.figures.network import Network, trace
from paa.figures.positives import Counted
from paa.figures.separation import Separation
from paa.store.columns import name_of
from paa.store.paths import RunPaths
from paa.store.record import TrainingRecord
from paa.structures import Anchors, Assignment, Batch, Predictions

SPLIT = "val"
"""Figures show images of this split, but for those that were recorded during training."""

_AUXILIARIES = {"IoUPrediction": "predicted IoU", "Centerness": "centerness"}


@dataclass(frozen=True)
class Opened:
    """A finished run below `paths`. Data and network are read when they are first asked for, on the CPU.

    Each method raises ConfigError, DataError and their like where the run lacks what it needs, in one line.
    """

    paths: RunPaths
    record: TrainingRecord
    compose: Composer

    @property
    def parts(self) -> Components:
        """What the run's configuration builds."""
        return self._experiment.parts

    @cached_property
    def _experiment(self) -> Experiment:
        here = self.compose.parse(["device=cpu", "workers=0"])
        experiment, _ = reopen(self.paths.runs_dir, self.paths.train_id, here, self.compose)
        apply_process(experiment.parts.config)
        experiment.parts.source.prepare()
        return experiment

    @cached_property
    def index(self) -> CocoIndex:
        """The split whose images are shown."""
        index = self.parts.source.index(SPLIT)
        index.require_classes(self.record.categories)
        return index

    @cached_property
    def model(self) -> Evaluator:
        """The network with its final weights."""
        return self._experiment.evaluator(self.record)

    def images(self, wanted: Sequence[int], count: int) -> list[int]:
        """Ids of images: those `wanted`, or `count` that are evenly spaced over the split's with a ground truth."""
        known = self.index.image_ids
        for image in wanted:
            if image not in known:
                span = f"its ids go from {known[0]} to {known[-1]}"
                raise ConfigError(f"--image {image}: {SPLIT} of {self.paths.train_id} has no such image; {span}")
        if wanted:
            return list(dict.fromkeys(wanted))
        shown = np.unique(self.index.image_of[~self.index.crowd])
        if not len(shown):
            raise ConfigError(f"{self.index.path}: no image with a ground truth, and so nothing to draw")
        places = np.linspace(0, len(shown) - 1, min(count, len(shown))).round().astype(int)
        return [int(i) for i in known[shown[places]]]

    def assigned(self, image: int) -> tuple[Drawn, Assignment]:
        """The image `image` and what the run's assigner makes of its anchors at the end of training."""
        index, batch, predictions, anchors = self.seen(image)
        found = self.parts.assigner(anchors, predictions, batch.targets, 1.0)
        return Drawn.of(np.asarray(decode(index, 0)), index.category_names, batch, anchors, found), found

    def separation(self, image: int) -> tuple[Separation, str]:
        """The ground truth of image `image` that has most candidates, the first of equals, and its class."""
        assigner = self.parts.assigner
        if not isinstance(assigner, PAA):
            problem = f"its assigner {type(assigner).__name__} scores no anchors; must be a run of assign=paa"
            raise ConfigError(f"{self.paths.train_id}: {problem}")
        index, batch, predictions, anchors = self.seen(image)
        scores, matched_to = assigner.score(anchors, predictions, batch.targets)
        count = batch.targets.boxes.shape[1]
        found = best_per_level(scores, matched_to, anchors.level, assigner.topk, count, len(anchors.shapes))
        most = int(found.valid[0].sum(-1).argmax())
        kept = found.scores[0, most][found.valid[0, most]]
        if not len(kept):
            raise ConfigError(f"--image {image}: none of its ground truths has a candidate; choose another image")
        names = ("empty_foreground", "single", "pos_peak", "em_dtype")
        boundary = assigner.boundary
        options = {n: getattr(boundary, n) for n in names} if isinstance(boundary, MixtureBoundary) else {}
        return Separation.of(kept, **options), index.category_names[int(batch.targets.labels[0, most])]

    def detected(self, images: Sequence[int], score: float) -> list[Detected]:
        """Detections of score `score` and above on each image, beside its ground truth."""
        index = self.index.subset(np.searchsorted(self.index.image_ids, images))
        found = worth_showing(index, self.model.detect(index), score)
        partner = matched(index, found)
        return [Detected.of(index, i, found, partner) for i in np.searchsorted(index.image_ids, images)]

    def network(self) -> Network:
        """The network of the configuration, traced on an input of the size that the first image of the split has."""
        index, parts = self.index, self.parts
        with torch.device("meta"):
            detector = parts.detector(len(self.record.categories), load_weights=False)
        size = parts.test_transform(detector.backbone).size(int(index.heights[0]), int(index.widths[0]))
        backbone = self.record.choices.get("backbone") or name_of(self.record.config["backbone"])
        auxiliary = _AUXILIARIES.get(type(parts.auxiliary).__name__, "auxiliary")
        return trace(detector, size, str(backbone), auxiliary)

    def counted(self) -> Counted:
        """Positives of a ground truth over the steps of training, from metrics.jsonl."""
        lines = [line for line in read(self.paths.metrics) if isinstance(line.get("positives_per_gt"), int | float)]
        if not lines:
            raise ConfigError(f"{self.paths.metrics}: no line with positives_per_gt; {self._again()}")
        steps, values = zip(*((line["step"], line["positives_per_gt"]) for line in lines), strict=True)
        return Counted(np.array(steps), np.array(values, dtype=np.float64), self.record.steps)

    def recorded(self, wanted: Sequence[int]) -> tuple[list[int], dict[int, list[Drawn]]]:
        """Steps at which assignments were recorded, and {image: its assignment at each of them}.

        `wanted` images, or the one of lowest id of those that were recorded at every step.
        """
        stored = drawn_pictures(self.paths.images).items()
        at = {step: {int(p.stem): arrays_path(p) for p in made if arrays_path(p).exists()} for step, made in stored}
        steps = [step for step, files in at.items() if files]
        always = sorted(set.intersection(*(set(at[step]) for step in steps))) if steps else []
        if not always:
            raise ConfigError(f"{self.paths.train_id}: recorded no assignments while it trained; {self._again()}")
        for image in wanted:
            if image not in always:
                known = f"recorded only images {', '.join(map(str, always))}; choose from them"
                raise ConfigError(f"--image {image}: {self.paths.train_id} {known}")
        digest = self.record.digests.get("data.train")
        if self.parts.source.digest("train") != digest:
            raise ConfigError(f"{self.paths.train_id}: data.train is no longer what it was trained on")
        index, found = self.parts.source.index("train"), {}
        for image in dict.fromkeys(wanted or always[:1]):
            pixels = decode(index, int(np.searchsorted(index.image_ids, image)))
            try:
                found[image] = [Drawn.load(at[step][image], pixels) for step in steps]
            except ValueError as error:
                raise ConfigError(str(error)) from error
        return steps, found

    @torch.no_grad()
    def seen(self, image: int) -> tuple[CocoIndex, Batch, Predictions, Anchors]:
        """Return the image `image` alone, as the network gets it at test time, what the final weights predict in full
        precision, and the anchors.
        """
        parts, detector = self.parts, self.model.detector
        index = self.index.subset(np.searchsorted(self.index.image_ids, [image]))
        batch = next(iter(test_batches(index, parts.test_transform(detector.backbone), 1)))  # type: ignore[arg-type]
        return index, batch, *TrainingCore(detector, parts.grid, parts.assigner, parts.criterion).predict(batch)

    def _again(self) -> str:
        """The command that records what the run lacks: the same training, into another folder of runs."""
        kept = [o for o in self.record.overrides if o.split("=")[0] not in ("runs_dir", "tracking.images.steps")]
        words = [*kept, "tracking.images.steps=[0,0.05,0.25,1.0]", f"runs_dir={self.paths.runs_dir}_recorded"]
        return "this records it: python -m paa.train " + " ".join(shlex.quote(word) for word in words)


def opened(runs_dir: Path, prefix: str, compose: Composer) -> Opened:
    """Return the finished run whose ID begins with `prefix`; RunNotFound, BadRecord, ConfigError if there is none."""
    return Opened(*find_finished(runs_dir, prefix), compose)
