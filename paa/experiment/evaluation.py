"""Evaluate a network on the splits that are asked for, and record each evaluation."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from paa.auxiliary import IoUPrediction
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.loader import WorkerDied, scaled_batches, test_batches, test_order
from paa.datasets.targets import training_boxes
from paa.engine.distributed import SINGLE_PROCESS, ProcessGroup
from paa.engine.signals import Interrupted
from paa.evaluation import Evaluation, Results, evaluate
from paa.evaluation.coco import NUMBERS
from paa.evaluation.iou_error import PositiveErrors, mean_error
from paa.evaluation.upload import write_upload
from paa.experiment.identify import Wanted, votings
from paa.experiment.parts import Components
from paa.experiment.run_context import RunContext
from paa.inference import Inference
from paa.store.provenance import origin
from paa.store.record import EvaluationRecord


@dataclass(frozen=True)
class Evaluator:
    """Evaluates `detector` with the components of an experiment.

    pause  is called between batches; it raises Interrupted to end the evaluation, of which nothing is then kept.
    group  the processes that share the images; only the main one has all detections and writes.
    """

    parts: Components
    detector: nn.Module
    device: torch.device
    categories: list[list[Any]]
    pause: Callable[[], None] = lambda: None
    group: ProcessGroup = SINGLE_PROCESS

    def within(self, run: RunContext, step: int) -> Evaluator:
        """Return the evaluator of a run's work, which stops when the run is asked to, after `step`."""
        return replace(self, pause=partial(run.stop.check, step), group=run.group)

    def detect(self, index: CocoIndex) -> Results:
        """Detect on the images of an index, in one process; with voting if `postprocess.voting` says both."""
        voting = votings(self.parts.config)[-1]
        return self.results(index, [voting])[voting]

    def measure(self, index: CocoIndex, found: Results) -> Evaluation:
        """Evaluate the detections on the images of an index."""
        return evaluate(index, found, predicts_iou=isinstance(self.parts.auxiliary, IoUPrediction))

    def results(
        self, index: CocoIndex, votings: Sequence[bool], positives: PositiveErrors | None = None
    ) -> dict[bool, Results]:
        """Detect on the images of an index for each of `votings`; the result is the same on any number of processes.

        positives  is shown this process's batches of a single-scale test, with the ground truth of training.
        """
        stopped: Interrupted | None = None
        own: dict[bool, Results] = {}
        try:
            own = self._own_results(index, votings, positives)
        except Interrupted as stop:
            stopped = stop
        except WorkerDied as error:  # what is left of the evaluations is repeated
            stopped = Interrupted(signal.SIGKILL, 0, str(error))
        self.group.barrier()  # parts that take hours end many minutes apart
        if self.group.size > 1:  # a process that is told to stop would leave the others waiting for its part
            signum, step = self.group.all_reduce_max(*((stopped.signum, stopped.step) if stopped else (0, 0)))
            stopped = Interrupted(signum, step) if signum else None
        if stopped is not None:
            raise stopped
        found, order = self.group.gather(own), test_order(index)
        if not found:
            return {}
        return {voting: Results.join([one[voting] for one in found]).in_order(order) for voting in votings}

    def _own_results(
        self, index: CocoIndex, votings: Sequence[bool], positives: PositiveErrors | None
    ) -> dict[bool, Results]:
        parts, scales, images = self.parts, self.parts.scales, self.parts.config["images"]
        size, workers = images["test"]["batch_size"], parts.config["workers"]
        part = slice(self.group.rank, None, self.group.size)  # whole batches: each is padded as in one process
        built = (self.detector, parts.grid, parts.postprocess, parts.auxiliary)
        inference = Inference(*built, self.device, observe=positives, pause=self.pause)
        transforms = parts.scale_transforms(self.detector.backbone)  # type: ignore[arg-type]
        if scales is not None:
            scaled = scaled_batches(index, transforms, size, workers=workers, part=part)
            return inference.scaled_results(scaled, scales, votings)
        truths = None if positives is None else training_boxes(index, legacy=images["legacy"], rule=images["boxes"])
        batches = test_batches(index, transforms[0], size, workers=workers, truths=truths, part=part)
        return inference.results(batches, votings)

    def index(self, split: str) -> CocoIndex:
        """Return the annotations of a split, or debug.images of them; DataError if its classes are not training's."""
        index = self.parts.index(split)
        index.require_classes(self.categories)
        return index

    def record(self, every: Sequence[Wanted], run: RunContext, digests: Mapping[str, str], weights_sha256: str) -> None:
        """Run the evaluations of `every` and write their records and matches.

        For a split without annotations, write the file for the server that has them, and a record without numbers.
        """
        parts = self.parts
        for split in dict.fromkeys(one.split for one in every):
            of_split = [one for one in every if one.split == split]
            began = time.monotonic()
            index, labeled, positives = self.index(split), parts.source.labeled(split), None
            if labeled and isinstance(parts.auxiliary, IoUPrediction) and parts.scales is None:
                positives = PositiveErrors(parts.assigner, parts.coder, parts.auxiliary)
            detections = self.results(index, [one.voting for one in of_split], positives)
            shown = [] if positives is None else self.group.gather(positives.rows)
            if self.group.is_main:
                measured = {v: self.measure(index, found) for v, found in detections.items()} if labeled else {}
                error, assigned = mean_error(row for rows in shown for row in rows)
                took = (time.monotonic() - began) / len(of_split)
                for one in of_split:
                    rest: dict[str, Any] = {
                        **asdict(one),
                        "train_id": run.paths.train_id,
                        "postprocess": {**parts.config["postprocess"], "voting": one.voting},
                        "digests": dict(digests),
                        "wall_s": round(took, 2),
                        "weights_sha256": weights_sha256,
                        "origin": origin(),
                        "iou_error_positives": error,
                        "positives": None if positives is None else assigned,
                    }
                    run.ensure_lock_held()
                    if labeled:
                        record = EvaluationRecord.of(measured[one.voting], **rest)
                        measured[one.voting].matches.save(run.paths.matches(one.eval_id))
                    else:
                        name, found = parts.source.public_name(split), detections[one.voting]
                        path = run.paths.upload(one.eval_id)
                        upload = write_upload(path, name, f"paa-{run.paths.train_id}", index, found)
                        record = EvaluationRecord(
                            numbers=dict.fromkeys(NUMBERS),
                            per_class=dict.fromkeys(index.category_names),
                            iou_error=None,
                            images=len(index),
                            detections=len(found),
                            matched=0,
                            upload=upload.relative_to(run.paths.folder).as_posix(),
                            **rest,
                        )
                    run.ensure_lock_held()
                    record.write(run.paths.evaluation(one.eval_id))
                    run.say(describe(record))
            self.group.barrier()


def describe(record: EvaluationRecord) -> str:
    """Return "val, voting on: AP 51.2  AP50 70.1 ...", with "-" where there is nothing to measure."""
    if record.upload is not None and record.score is None:
        return f"{title(record)}: {record.detections} detections to upload"
    numbers = "  ".join(f"{k} {'-' if v is None else f'{v:.1f}'}" for k, v in list(record.numbers.items())[:6])
    error = "" if record.iou_error is None else f"  IoU error {record.iou_error:.3f}"
    return f"{title(record)}: {numbers}{error}"


def title(record: EvaluationRecord) -> str:
    """Return "val, voting on", with ", multi-scale" after such a test."""
    scales = ", multi-scale" if record.multiscale else ""
    return f"{record.split}, voting {'on' if record.voting else 'off'}{scales}"
