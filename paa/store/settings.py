"""Nodes of the configuration that configure a run and no class of the method: ranges of their keys, and which keys of
each node count in run IDs.

`train_id` contains everything that can change the trained weights, `eval_id` everything that can change a detection
once the weights exist. A key counts unless the class of its node says otherwise, so that a new key cannot be forgotten.
Nothing here imports torch: a run ID is computed without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from paa import checks

ALL = ("*",)
"""All keys of a node."""


NUMBERS = ("AP", "AP50", "AP75", "APS", "APM", "APL")
"""Numbers of an evaluation that `evaluate.objective` can name."""


class Settings:
    """A node that trains: every key counts in the run ID, none in the evaluation ID.

    NOT_IN_TRAIN_ID, NOT_IN_EVAL_ID  keys that do not count, dotted within the node; ALL for the whole node.
    ONLY_IF  {key: (dotted key of the configuration, value)}: the key counts only if that other key has this value.
    """

    NOT_IN_TRAIN_ID: ClassVar[tuple[str, ...]] = ()
    NOT_IN_EVAL_ID: ClassVar[tuple[str, ...]] = ALL
    ONLY_IF: ClassVar[Mapping[str, tuple[str, Any]]] = {}


class NotHashed(Settings):
    """A node that changes no number, or whose values reach other nodes by reference and count there."""

    NOT_IN_TRAIN_ID = ALL


@dataclass(frozen=True)
class RunSettings(Settings):
    """The keys at the top of the configuration. Precision, memory layout and compilation change the last digits."""

    seed: int
    device: str
    precision: str
    channels_last: bool
    compile: bool
    threads: int | None
    workers: int
    runs_dir: str

    NOT_IN_TRAIN_ID = ("device", "threads", "workers", "runs_dir", "plan")
    KEYS: ClassVar = ("seed", "precision", "channels_last", "compile", *NOT_IN_TRAIN_ID)

    def __post_init__(self) -> None:
        checks.integer("seed", self.seed, low=0, high=2**31 - 1)
        checks.choice("device", self.device, ("auto", "cpu", "cuda"))
        checks.choice("precision", self.precision, ("fp32", "tf32", "bf16", "fp16"))
        checks.flag("channels_last", self.channels_last)
        checks.flag("compile", self.compile)
        if self.threads is not None:
            checks.integer("threads", self.threads, low=1, high=1024)
        checks.integer("workers", self.workers, low=0, high=256)
        if not isinstance(self.runs_dir, str) or not Path(self.runs_dir).name:
            raise checks.OutOfRange("runs_dir", f"={self.runs_dir}: must be the path of a folder")


class BackboneSettings(Settings):
    """`backbone`. What `expects` decides is in `backbone.convention`."""

    NOT_IN_TRAIN_ID = ("expects",)


@dataclass(frozen=True)
class ImageSettings(Settings):
    """`images`: which images and boxes are trained on; `train` and `test` are checked where a Transform is built."""

    test: Mapping[str, Any]
    boxes: str
    empty: str
    degenerate_boxes: str
    min_side: int

    NOT_IN_TRAIN_ID = ("test",)
    NOT_IN_EVAL_ID = ("train", "boxes", "empty", "degenerate_boxes", "min_side")

    def __post_init__(self) -> None:
        checks.integer("test.batch_size", self.test["batch_size"], low=1)
        checks.choice("boxes", self.boxes, ("clip", "mmdet"))
        checks.choice("empty", self.empty, ("keep", "drop", "unannotated"))
        checks.choice("degenerate_boxes", self.degenerate_boxes, ("keep", "drop"))
        checks.integer("min_side", self.min_side, low=0)


@dataclass(frozen=True)
class TrainSettings(Settings):
    """`train`: the images of an optimizer step. `accumulate` computes the same step in smaller parts, and so do
    `processes`, unless each has its own normalizers.
    """

    batch_size: int
    aspect_grouping: str
    accumulate: int
    processes: int
    clip_norm: float | None

    NOT_IN_TRAIN_ID = ("accumulate",)
    ONLY_IF: ClassVar = {"processes": ("criterion.normalizer_sync", "per_process")}

    def __post_init__(self) -> None:
        checks.integer("batch_size", self.batch_size, low=1)
        checks.choice("aspect_grouping", self.aspect_grouping, ("at_least", "above", "none"))
        checks.integer("accumulate", self.accumulate, low=1, high=self.batch_size)
        checks.integer("processes", self.processes, low=1)
        if self.clip_norm is not None:
            checks.number("clip_norm", self.clip_norm, above=0)


@dataclass(frozen=True)
class DebugSettings(Settings):
    """`debug`: images of each split, and steps to profile; None: all images, no profile."""

    images: int | None
    profile: int | None

    NOT_IN_TRAIN_ID = ("profile",)
    NOT_IN_EVAL_ID = ("profile",)

    def __post_init__(self) -> None:
        for name in ("images", "profile"):
            if getattr(self, name) is not None:
                checks.integer(name, getattr(self, name), low=1)


class PostprocessSettings(Settings):
    """`postprocess`."""

    NOT_IN_TRAIN_ID = ALL
    NOT_IN_EVAL_ID = ()
    ONLY_IF: ClassVar = dict.fromkeys(("voting_weight", "sigma_t", "voting_iou"), ("postprocess.voting", True))


@dataclass(frozen=True)
class EvaluateSettings(NotHashed):
    """`evaluate`: which evaluations are asked for, and which number a sweeper optimizes."""

    splits: list[str]
    every: int
    objective: str

    def __post_init__(self) -> None:
        if not isinstance(self.splits, list):
            raise checks.OutOfRange("splits", f"={self.splits}: must be a list, e.g. evaluate.splits=[val]")
        checks.integer("every", self.every, low=0)
        if self.every and not self.splits:
            raise checks.OutOfRange("splits", "=[]: evaluate.every needs a split; add one, or set evaluate.every=0")
        checks.choice("objective", self.objective, NUMBERS)


@dataclass(frozen=True)
class CheckpointSettings(NotHashed):
    """`checkpoint`: when a training saves."""

    every: int
    every_s: float
    keep: int

    def __post_init__(self) -> None:
        checks.integer("every", self.every, low=1)
        checks.number("every_s", self.every_s, above=0)
        checks.integer("keep", self.keep, low=1)


@dataclass(frozen=True)
class LockSettings(NotHashed):
    """`lock`: one process trains a run."""

    if_locked: str
    heartbeat_s: float
    stale_s: float

    def __post_init__(self) -> None:
        checks.choice("if_locked", self.if_locked, ("wait", "skip"))
        checks.number("heartbeat_s", self.heartbeat_s, above=0)
        checks.number("stale_s", self.stale_s, low=2 * self.heartbeat_s)


@dataclass(frozen=True)
class FinetuneSettings(Settings):
    """`finetune`: the weights that a training starts from."""

    from_: str | None

    def __post_init__(self) -> None:
        if self.from_ is not None and (not isinstance(self.from_, str) or not self.from_):
            raise checks.OutOfRange("from", f"={self.from_}: must be null, a finished run's ID or the path of a file")


_OF_THE_METHOD = ("detector", "anchors", "assign", "auxiliary", "coder", "criterion", "optim", "schedule")

NODES: dict[str, type[Settings]] = {
    "backbone": BackboneSettings,
    "finetune": FinetuneSettings,
    "images": ImageSettings,
    "train": TrainSettings,
    "debug": DebugSettings,
    "postprocess": PostprocessSettings,
    "evaluate": EvaluateSettings,
    "checkpoint": CheckpointSettings,
    "lock": LockSettings,
    **dict.fromkeys(_OF_THE_METHOD, Settings),
    **dict.fromkeys(("compat", "recipe", "pretrained", "tracking"), NotHashed),
}
"""{node: its class}, of every node but `data`, whose class is the `_target_` (see `paa.datasets`)."""


def check_settings(config: Mapping[str, Any]) -> None:
    """OutOfRange naming the key of a value that is out of range. Classes of the method check their own nodes."""
    RunSettings(**{field.name: config[field.name] for field in fields(RunSettings)})
    for node, kind in NODES.items():
        names = [field.name for field in fields(kind)] if "__post_init__" in vars(kind) else []  # type: ignore[arg-type]
        if names:
            try:
                kind(**{name: config[node][name.rstrip("_")] for name in names})
            except checks.OutOfRange as error:
                raise checks.OutOfRange(f"{node}.{error.name}", error.problem) from error
    if "plan" in config:
        checks.flag("plan", config["plan"])
    if "compat" in config:  # what it says has reached other nodes; only recipe=coco_2x reads this key
        checks.choice("compat.x152", config["compat"]["x152"], ("release", "common"))
    accumulate = config["train"]["accumulate"]
    if accumulate > 1 and config["backbone"].get("norm") == "batch":
        problem = "its statistics would be those of a part of the batch; use backbone.norm=group, or train.accumulate=1"
        raise checks.OutOfRange("backbone.norm", f"=batch with train.accumulate={accumulate}: {problem}")
