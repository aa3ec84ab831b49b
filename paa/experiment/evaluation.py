"""Evaluation of a network on the splits that are asked for, each once, each recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from paa.auxiliary import IoUPrediction
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.loader import scaled_batches, test_batches, test_order
from paa.datasets.targets import training_boxes
from paa.engine.distributed import SINGLE_PROCESS, ProcessGroup
from paa.engine.signals import Interrupted
from paa.evaluation import Evaluation, Results, evaluate
from paa.evaluation.coco import NUMBERS
from paa.evaluation.iou_error import PositiveErrors, mean_error
from paa.evaluation.upload import write_upload
from paa.experiment.parts import Parts, votings
from paa.inference import Inference
from paa.store.identity import eval_id
from paa.store.paths import RunPaths
from paa.store.provenance import origin
from paa.store.record import EvaluationRecord


@dataclass(frozen=True)
class Wanted:
    """One evaluation: a split, with voting or without, and its identity."""

    split: str
    voting: bool
    eval_id: str


def wanted(config: Mapping[str, Any], digests: Mapping[str, str]) -> list[Wanted]:
    """All evaluations that the configuration asks for."""
    return [
        Wanted(split, voting, eval_id(config, digests, split, voting))
        for split in dict.fromkeys(config["evaluate"]["splits"])
        for voting in votings(config)
    ]


def missing(paths: RunPaths, every: Sequence[Wanted]) -> list[Wanted]:
    """Those that have no record yet."""
    return [one for one in every if not paths.evaluation(one.eval_id).exists()]


@dataclass(frozen=True)
class Evaluator:
    """Evaluates `detector` with the parts of an experiment.

    say    tells a person what goes on.
    pause  is called between batches; it raises Interrupted to end the evaluation, of which nothing is then kept.
    group  the processes that share the images; the main one has all detections and writes, the others have none.
    """

    parts: Parts
    detector: nn.Module
    device: torch.device
    say: Callable[[str], None]
    categories: Sequence[Sequence[Any]]
    pause: Callable[[], None] = lambda: None
    group: ProcessGroup = SINGLE_PROCESS

    def split(self, split: str, votings: Sequence[bool]) -> dict[bool, Evaluation]:
        """Evaluations of a split for each of `votings`, from one pass of the network."""
        index = self.index(split)
        return self._evaluations(index, self.results(index, votings))

    def results(
        self, index: CocoIndex, votings: Sequence[bool], positives: PositiveErrors | None = None
    ) -> dict[bool, Results]:
        """Detections on the images of an index for each of `votings`, the same on any number of processes.

        positives  is shown this process's batches of a plain test, with the ground truth that training would see.
        """
        stopped, own = None, {}
        try:
            own = self._own_results(index, votings, positives)
        except Interrupted as stop:
            stopped = stop
        self.group.barrier()  # parts that take hours end many minutes apart
        if self.group.size > 1:  # a process that is told to stop would leave the others waiting for its part
            signum, step = self.group.all_reduce_max(*((stopped.signum, stopped.step) if stopped else (0, 0)))
            stopped = Interrupted(signum, step) if signum else None
        if stopped is not None:
            raise stopped
        found = self.group.gather(own)
        if self.group.size == 1 or not found:
            return own if self.group.is_main else {}
        order = test_order(index)
        return {voting: Results.join([one[voting] for one in found]).in_order(order) for voting in votings}

    def _own_results(
        self, index: CocoIndex, votings: Sequence[bool], positives: PositiveErrors | None
    ) -> dict[bool, Results]:
        """Detections on this process's part of the images; `pause` may raise in between."""
        parts, scales = self.parts, self.parts.scales
        size, workers = parts.config["images"]["test"]["batch_size"], parts.config["workers"]
        part = slice(self.group.rank, None, self.group.size)  # whole batches: each is padded as in one process
        inference = Inference(self.detector, parts.grid, parts.postprocess, parts.auxiliary, self.device, positives)
        transforms = parts.scale_transforms(self.detector.backbone)  # type: ignore[arg-type]
        if scales is None:
            images, truths = parts.config["images"], None
            if positives is not None:
                truths = training_boxes(index, legacy=images["legacy"], rule=images["boxes"])
            batches = test_batches(index, transforms[0], size, workers=workers, truths=truths, part=part)
            return inference.results(batches, votings, on_images=lambda n: self.pause())
        every = scaled_batches(index, transforms, size, workers=workers, part=part)
        return inference.scaled_results(every, scales, votings, on_images=lambda n: self.pause())

    def measurable(self, split: str) -> bool:
        """Whether the split has annotations. DataError as in `index`."""
        return self.parts.source.labeled(split)

    def index(self, split: str) -> CocoIndex:
        """The annotations of a split, debug.images of them; DataError where its classes are not the training's."""
        index, limit = self.parts.source.index(split), self.parts.config["debug"]["images"]
        index.require_classes(self.categories)
        return index if limit is None else index.subset(np.arange(min(limit, len(index))))

    def record(
        self,
        every: Sequence[Wanted],
        paths: RunPaths,
        train_id: str,
        digests: Mapping[str, str],
        weights_sha256: str,
        ensure_lock_held: Callable[[], None],
    ) -> None:
        """Run the evaluations of `every`; write records and matches. `ensure_lock_held` is called before each write.

        Of a split without annotations, the file for the server that has them is written, and a record without numbers.
        """
        for split in dict.fromkeys(one.split for one in every):
            of_split = [one for one in every if one.split == split]
            began = time.monotonic()
            index = self.index(split)
            positives = self._positives(split)
            detections = self.results(index, [one.voting for one in of_split], positives)
            shown = [] if positives is None else self.group.gather(positives.rows)
            if not self.group.is_main:
                self.group.barrier()
                continue
            measured = self._evaluations(index, detections) if self.measurable(split) else {}
            error, assigned = mean_error(row for rows in shown for row in rows)
            took = (time.monotonic() - began) / len(of_split)
            for one in of_split:
                rest: dict[str, Any] = {
                    "eval_id": one.eval_id,
                    "train_id": train_id,
                    "split": split,
                    "voting": one.voting,
                    "postprocess": {**self.parts.config["postprocess"], "voting": one.voting},
                    "digests": dict(digests),
                    "wall_s": round(took, 2),
                    "weights_sha256": weights_sha256,
                    "origin": origin(),
                }
                ensure_lock_held()
                if one.voting in measured:
                    rest |= {"iou_error_positives": error, "positives": assigned if positives is not None else None}
                    record = EvaluationRecord.of(measured[one.voting], **rest)
                    measured[one.voting].matches.save(paths.matches(one.eval_id))
                else:
                    record = EvaluationRecord(**self._uploaded(one, index, detections[one.voting], paths), **rest)
                ensure_lock_held()
                record.write(paths.evaluation(one.eval_id))
                self.say(f"{paths.train_id}  {describe(record)}")
            self.group.barrier()

    def _positives(self, split: str) -> PositiveErrors | None:
        """What takes up the errors of the predicted IoU, where there is such a thing and a ground truth.

        Training knows no test at many scales: there, nothing does.
        """
        parts = self.parts
        if not isinstance(parts.auxiliary, IoUPrediction) or parts.scales is not None or not self.measurable(split):
            return None
        return PositiveErrors(parts.assigner, parts.coder, parts.auxiliary)

    def _evaluations(self, index: CocoIndex, found: Mapping[bool, Results]) -> dict[bool, Evaluation]:
        predicts_iou = isinstance(self.parts.auxiliary, IoUPrediction)
        return {voting: evaluate(index, one, predicts_iou=predicts_iou) for voting, one in found.items()}

    def _uploaded(self, one: Wanted, index: CocoIndex, found: Results, paths: RunPaths) -> dict[str, Any]:
        """Writes the server's file; what the record says in place of numbers."""
        name = self.parts.source.public_name(one.split)
        upload = write_upload(paths.upload(one.eval_id), name, f"paa-{paths.train_id}", index, found)
        return {
            "numbers": dict.fromkeys(NUMBERS),
            "per_class": dict.fromkeys(index.category_names),
            "iou_error": None,
            "images": len(index),
            "detections": len(found),
            "matched": 0,
            "upload": upload.relative_to(paths.folder).as_posix(),
        }


def describe(record: EvaluationRecord) -> str:
    """ "val, voting on: AP 51.2  AP50 70.1 ...", with "-" where there is nothing to measure."""
    if record.upload is not None and record.score is None:
        return f"{_what(record)}: {record.detections} detections to upload"
    numbers = "  ".join(f"{k} {'-' if v is None else f'{v:.1f}'}" for k, v in list(record.numbers.items())[:6])
    error = "" if record.iou_error is None else f"  IoU error {record.iou_error:.3f}"
    return f"{_what(record)}: {numbers}{error}"


def _what(record: EvaluationRecord) -> str:
    scales = ", multi-scale" if record.multiscale else ""
    return f"{record.split}, voting {'on' if record.voting else 'off'}{scales}"
