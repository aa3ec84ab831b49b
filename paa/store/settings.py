"""Nodes of the configuration that configure a run and no class of the method: ranges of their keys, and which keys of
each node count in run IDs.

`train_id` contains everything that can change the trained weights, `eval_id` everything that can change a detection
once the weights exist. A key counts unless the class of its node says otherwise, so that a new key cannot be forgotten.
Nothing here imports torch: a run ID is computed without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

from paa import checks
from paa.checks import Checked, checked

ALL = ("*",)
"""All keys of a node."""

NUMBERS = ("AP", "AP50", "AP75", "APS", "APM", "APL")
"""Numbers of an evaluation that `evaluate.objective` can name."""


class Settings:
    """A node that trains: every key counts in the run ID, none in the evaluation ID.

    NOT_IN_TRAIN_ID, NOT_IN_EVAL_ID  keys that do not count, dotted within the node; ALL for the whole node.
    ONLY_IF  {key: (dotted key of the configuration, value)}: the key counts only if that other key has this value.
    NEUTRAL  {key: value}: with this value the key does not count: runs from before there was such a key keep their IDs.
    """

    NOT_IN_TRAIN_ID: ClassVar[tuple[str, ...]] = ()
    NOT_IN_EVAL_ID: ClassVar[tuple[str, ...]] = ALL
    ONLY_IF: ClassVar[Mapping[str, tuple[str, Any]]] = {}
    NEUTRAL: ClassVar[Mapping[str, Any]] = {}


class NotHashed(Settings):
    """A node that changes no number, or whose values reach other nodes by reference and count there."""

    NOT_IN_TRAIN_ID = ALL


def _folder(name: str, value: Any) -> None:
    if not isinstance(value, str) or not Path(value).name:
        raise checks.OutOfRange(name, f"={value}: must be the path of a folder")


@dataclass(frozen=True, kw_only=True)
class RunSettings(Checked, Settings):
    """The keys at the top of the configuration. Precision, memory layout and compilation change the last digits."""

    seed: int = checked(checks.integer, low=0, high=2**31 - 1)
    device: str = checked(checks.choice, choices=("auto", "cpu", "cuda"))
    precision: str = checked(checks.choice, choices=("fp32", "tf32", "bf16", "fp16"))
    channels_last: bool = checked(checks.flag)
    compile: bool = checked(checks.flag)
    threads: int | None = checked(checks.integer, None, low=1, high=1024)
    workers: int = checked(checks.integer, low=0, high=256)
    runs_dir: str = checked(_folder)

    NOT_IN_TRAIN_ID = ("device", "threads", "workers", "runs_dir", "plan")
    KEYS: ClassVar = ("seed", "precision", "channels_last", "compile", *NOT_IN_TRAIN_ID)


class BackboneSettings(Settings):
    """`backbone`. What `expects` decides is in `backbone.convention`."""

    NOT_IN_TRAIN_ID = ("expects",)


@dataclass(frozen=True, kw_only=True)
class ImageSettings(Checked, Settings):
    """`images`: which images and boxes are trained on; `train` and `test` are checked where a Transform is built."""

    test: Mapping[str, Any] = checked(
        lambda name, value: checks.integer(f"{name}.batch_size", value["batch_size"], low=1)
    )
    boxes: str = checked(checks.choice, choices=("clip", "mmdet"))
    empty: str = checked(checks.choice, choices=("keep", "drop", "unannotated"))
    degenerate_boxes: str = checked(checks.choice, choices=("keep", "drop"))
    min_side: int = checked(checks.integer, low=0)

    NOT_IN_TRAIN_ID = ("test",)
    NOT_IN_EVAL_ID = ("train", "boxes", "empty", "degenerate_boxes", "min_side")


@dataclass(frozen=True, kw_only=True)
class TrainSettings(Checked, Settings):
    """`train`: the images of an optimizer step. `accumulate` computes the same step in smaller parts, and so do
    `processes`, unless each has its own normalizers.
    """

    batch_size: int = checked(checks.integer, low=1)
    aspect_grouping: str = checked(checks.choice, choices=("at_least", "above", "none"))
    accumulate: int
    processes: int = checked(checks.integer, low=1)
    clip_norm: float | None = checked(checks.number, None, above=0)

    NOT_IN_TRAIN_ID = ("accumulate",)
    ONLY_IF: ClassVar = {"processes": ("criterion.normalizer_sync", "per_process")}

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer("accumulate", self.accumulate, low=1, high=self.batch_size)


@dataclass(frozen=True, kw_only=True)
class DebugSettings(Checked, Settings):
    """`debug`: images of each split, and steps to profile; None: all images, no profile."""

    images: int | None = checked(checks.integer, None, low=1)
    profile: int | None = checked(checks.integer, None, low=1)

    NOT_IN_TRAIN_ID = ("profile",)
    NOT_IN_EVAL_ID = ("profile",)


class CriterionSettings(Settings):
    """`criterion`."""

    NEUTRAL: ClassVar = {"class_loss": "focal", "carl": 0}


class PostprocessSettings(Settings):
    """`postprocess`."""

    NOT_IN_TRAIN_ID = ALL
    NOT_IN_EVAL_ID = ()
    NEUTRAL: ClassVar = {"nms": "standard"}
    ONLY_IF: ClassVar = dict.fromkeys(("voting_weight", "sigma_t", "voting_iou"), ("postprocess.voting", True))


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(Checked, NotHashed):
    """`evaluate`: which evaluations are asked for, and which number a sweeper optimizes."""

    splits: list[str]
    every: int = checked(checks.integer, low=0)
    objective: str = checked(checks.choice, choices=NUMBERS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.splits, list):
            raise checks.OutOfRange("splits", f"={self.splits}: must be a list, e.g. evaluate.splits=[val]")
        if self.every and not self.splits:
            raise checks.OutOfRange("splits", "=[]: evaluate.every needs a split; add one, or set evaluate.every=0")


@dataclass(frozen=True, kw_only=True)
class CheckpointSettings(Checked, NotHashed):
    """`checkpoint`: when a training saves."""

    every: int = checked(checks.integer, low=1)
    every_s: float = checked(checks.number, above=0)
    keep: int = checked(checks.integer, low=1)


@dataclass(frozen=True, kw_only=True)
class LockSettings(Checked, NotHashed):
    """`lock`: one process trains a run."""

    if_locked: str = checked(checks.choice, choices=("wait", "skip"))
    heartbeat_s: float = checked(checks.number, above=0)
    stale_s: float

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.number("stale_s", self.stale_s, low=2 * self.heartbeat_s)


def _run_or_file(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise checks.OutOfRange(name.rstrip("_"), f"={value}: must be null, a finished run's ID or the path of a file")


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(Checked, Settings):
    """`finetune`: the weights that a training starts from."""

    from_: str | None = checked(_run_or_file, None)


_OF_THE_METHOD = ("detector", "anchors", "assign", "auxiliary", "coder", "optim", "schedule")

NODES: dict[str, type[Settings]] = {
    "backbone": BackboneSettings,
    "finetune": FinetuneSettings,
    "images": ImageSettings,
    "train": TrainSettings,
    "debug": DebugSettings,
    "criterion": CriterionSettings,
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
        if is_dataclass(kind):
            try:
                kind(**{field.name: config[node][field.name.rstrip("_")] for field in fields(kind)})
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
