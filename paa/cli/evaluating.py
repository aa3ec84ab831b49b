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
from paa.cli.assemble import Parts, votings
from paa.data.coco import CocoIndex
from paa.data.loader import test_batches
from paa.evaluation import Evaluation, Results, evaluate
from paa.inference import Inference
from paa.runs.identity import eval_id
from paa.runs.origin import origin
from paa.runs.paths import RunPaths
from paa.runs.record import EvaluationRecord


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
    """

    parts: Parts
    detector: nn.Module
    device: torch.device
    say: Callable[[str], None]
    categories: Sequence[Sequence[Any]]
    pause: Callable[[], None] = lambda: None

    def split(self, split: str, votings: Sequence[bool]) -> dict[bool, Evaluation]:
        """Evaluations of a split for each of `votings`, from one pass of the network."""
        index = self.index(split)
        predicts_iou = isinstance(self.parts.auxiliary, IoUPrediction)
        found = self.results(index, votings)
        return {voting: evaluate(index, one, predicts_iou=predicts_iou) for voting, one in found.items()}

    def results(self, index: CocoIndex, votings: Sequence[bool]) -> dict[bool, Results]:
        """Detections on the images of an index for each of `votings`."""
        transform = self.parts.test_transform(self.detector.backbone)  # type: ignore[arg-type]
        batch_size, workers = self.parts.config["images"]["test"]["batch_size"], self.parts.config["workers"]
        inference = Inference(self.detector, self.parts.grid, self.parts.postprocess, self.parts.auxiliary, self.device)
        batches = test_batches(index, transform, batch_size, workers=workers)
        return inference.results(batches, votings, on_images=lambda n: self.pause())

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
        guard: Callable[[], None],
    ) -> None:
        """Runs the evaluations of `every` and writes their records and matches; `guard` is called before each write."""
        for split in dict.fromkeys(one.split for one in every):
            of_split = [one for one in every if one.split == split]
            began = time.monotonic()
            found = self.split(split, [one.voting for one in of_split])
            took = (time.monotonic() - began) / len(of_split)
            for one in of_split:
                evaluation = found[one.voting]
                record = EvaluationRecord.of(
                    evaluation,
                    eval_id=one.eval_id,
                    train_id=train_id,
                    split=split,
                    voting=one.voting,
                    postprocess={**self.parts.config["postprocess"], "voting": one.voting},
                    digests=dict(digests),
                    wall_s=round(took, 2),
                    weights_sha256=weights_sha256,
                    origin=origin(),
                )
                guard()
                evaluation.matches.save(paths.matches(one.eval_id))
                guard()
                record.write(paths.evaluation(one.eval_id))
                self.say(f"{paths.train_id}  {describe(record)}")


def describe(record: EvaluationRecord) -> str:
    """ "val, voting on: AP 51.2  AP50 70.1 ...", with "-" where there is nothing to measure."""
    numbers = "  ".join(f"{k} {'-' if v is None else f'{v:.1f}'}" for k, v in list(record.numbers.items())[:6])
    error = "" if record.iou_error is None else f"  IoU error {record.iou_error:.3f}"
    return f"{record.split}, voting {'on' if record.voting else 'off'}: {numbers}{error}"
