"""Records: what a finished training and a finished evaluation say about themselves.

A record is written last. Where it exists the work is done, whatever else of the run's folder has been removed since.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from paa import NUMERICS, files
from paa.store.errors import BadRecord

if TYPE_CHECKING:
    from paa.evaluation import Evaluation

SCHEMA = 1
"""Schema number of records; raise it when a field or a key of the configuration changes, and extend `upgrade`."""


_TYPES = {"str": str, "dict": dict, "list": list}
"""{annotation before "[": type} of the fields whose types are checked when a record is read, unless None is allowed."""

Record = TypeVar("Record", bound="_Record")


@dataclass(frozen=True)
class _Record:
    def write(self, path: Path) -> None:
        """Writes it, whole or not at all."""
        files.write_json(path, dataclasses.asdict(self))

    @classmethod
    def read(cls: type[Record], path: Path) -> Record:
        """Reads what `write` wrote. FileNotFoundError; BadRecord naming the file and what is wrong with it."""
        try:
            value = files.read_json(path)
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            raise BadRecord(str(error)) from error
        fields = {field.name: field for field in dataclasses.fields(cls)}
        kind = fields["kind"].default
        if not isinstance(value, Mapping) or value.get("kind") != kind:
            raise BadRecord(f"{path}: not the record of {'a training' if kind == 'training' else 'an evaluation'}")
        value = upgrade(value, path)
        required = (f for f in fields.values() if f.default is f.default_factory is dataclasses.MISSING)
        missing = [f.name for f in required if f.name not in value]
        if missing:
            raise BadRecord(f"{path}: the record lacks {', '.join(missing)}")
        for name, field in fields.items():
            annotation = str(field.type)
            expected = None if annotation.endswith("| None") else _TYPES.get(annotation.partition("[")[0])
            if expected and name in value and not isinstance(value[name], expected):
                raise BadRecord(f"{path}: {name} is {value[name]!r}, not {field.type}")
        return cls(**{name: value[name] for name in fields if name in value})


@dataclass(frozen=True)
class TrainingRecord(_Record):
    """Describe a finished training.

    train_id        run ID.
    config          resolved configuration, plain types.
    choices         the choice of each configuration group ("compat": "modern"), for display.
    overrides       of the command line.
    digests         content digests of the data, and of local files that the configuration names.
    seed, threads   as trained; threads None if torch chose. device "cpu" or "cuda".
    steps           optimizer steps.
    wall_s          seconds of work, over all attempts of an interrupted run; started, Unix time of the first.
    weights_sha256  digest of the final weights: names and bytes of all tensors, in the names' order.
    origin          code, libraries and machine at the start of training: see `paa.store.provenance`.
    final           numbers of the last steps of training, for display.
    categories      [id, name] of each class in the order of the labels: the weights can be used without the data.
    world_size      processes that trained it; of a resumed run, those of the last attempt.
    converted       of imported weights: "kind", "file" and "sha256" of the checkpoint; empty for a training. `steps`
                    and `wall_s` are then 0, `started` is the time of the import, and the training keys of the
                    configuration are those of its recipe, not of what made the weights.
    code            {target: {module: SHA-256 of its file}} of the user's own classes.
    """

    train_id: str
    config: dict[str, Any]
    overrides: list[str]
    digests: dict[str, str]
    seed: int
    threads: int | None
    device: str
    steps: int
    started: float
    wall_s: float
    weights_sha256: str
    origin: dict[str, Any]
    choices: dict[str, str] = dataclasses.field(default_factory=dict)
    final: dict[str, Any] = dataclasses.field(default_factory=dict)
    categories: list[list[Any]] = dataclasses.field(default_factory=list)
    world_size: int = 1
    converted: dict[str, Any] = dataclasses.field(default_factory=dict)
    code: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    numerics: int = NUMERICS
    kind: str = "training"
    schema: int = SCHEMA

    @property
    def source(self) -> str | None:
        """ "official: paa_r50.pth" of weights that were converted, None of a training."""
        return f"{self.converted.get('kind')}: {self.converted.get('file')}" if self.converted else None


@dataclass(frozen=True)
class EvaluationRecord(_Record):
    """Describe a finished evaluation of a finished training.

    eval_id, train_id  its ID and the run's. split of the data; voting, whether score voting was on.
    postprocess        the resolved node of the configuration.
    numbers            the twelve COCO numbers in percent, None without ground truth of that size.
    per_class          AP of each class in percent.
    iou_error          mean |predicted - true IoU| over the detections that are true at IoU 0.5, or None.
    iou_error_positives, positives  the same over the anchors that the assigner makes positive, and how many; None
                       without an IoU prediction or at many scales.
    images, detections, matched  how many; matched counts the true positives at IoU 0.5.
    wall_s             seconds of detection and evaluation; weights_sha256 of the evaluated weights; origin as above.
    upload             of a split without annotations: the file for the evaluation server that was written in place of
                       numbers (which are all None), relative to the run's folder; else None.
    score              of such a split, once the server has answered and the numbers are its: `source` and `date` of the
                       answer, `file`, and `entered`, the Unix time at which they were entered; else None.
    """

    eval_id: str
    train_id: str
    split: str
    voting: bool
    postprocess: dict[str, Any]
    digests: dict[str, str]
    numbers: dict[str, float | None]
    per_class: dict[str, float | None]
    iou_error: float | None
    images: int
    detections: int
    matched: int
    wall_s: float
    weights_sha256: str
    origin: dict[str, Any]
    upload: str | None = None
    score: dict[str, Any] | None = None
    iou_error_positives: float | None = None
    positives: int | None = None
    numerics: int = NUMERICS
    kind: str = "evaluation"
    schema: int = SCHEMA

    @property
    def multiscale(self) -> bool:
        """Whether it was a multi-scale test."""
        return bool(self.postprocess.get("multiscale"))

    @property
    def content(self) -> str:
        """The digest of the evaluated split: annotations and images."""
        return self.digests.get(f"data.{self.split}", "")

    @classmethod
    def of(cls, evaluation: Evaluation, **rest: Any) -> EvaluationRecord:
        """The record of `evaluation`; `rest` are the fields that it does not know."""
        own = ("numbers", "per_class", "iou_error", "images", "detections", "matched")
        return cls(**{name: getattr(evaluation, name) for name in own}, **rest)


def upgrade(value: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Return a record as this version of paa writes it: the only place that handles older records.

    There are none yet. From schema 2 on, each older schema is turned into the next one here, its "config" included.
    BadRecord: a schema that this version does not know.
    """
    if value.get("schema") != SCHEMA:
        raise BadRecord(f"{path}: schema={value.get('schema')}: written by another version of paa; must be {SCHEMA}")
    return value
