"""Nodes of the configuration that configure a run and no class of the method, each checked next to its fields.

A field's name is its key; conf/config.yaml says what it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from paa import checks
from paa.config.errors import ConfigError

NUMBERS = ("AP", "AP50", "AP75", "APS", "APM", "APL")
"""Numbers of an evaluation that `evaluate.objective` can name."""


@dataclass(frozen=True)
class RunSettings:
    """The keys at the top of the configuration."""

    seed: int
    device: str
    precision: str
    channels_last: bool
    compile: bool
    threads: int | None
    workers: int
    runs_dir: str

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


@dataclass(frozen=True)
class TrainSettings:
    """`train`: the images of an optimizer step."""

    batch_size: int
    aspect_grouping: str
    accumulate: int
    clip_norm: float | None

    def __post_init__(self) -> None:
        checks.integer("batch_size", self.batch_size, low=1)
        checks.choice("aspect_grouping", self.aspect_grouping, ("at_least", "above", "none"))
        checks.integer("accumulate", self.accumulate, low=1, high=self.batch_size)
        if self.clip_norm is not None:
            checks.number("clip_norm", self.clip_norm, above=0)


@dataclass(frozen=True)
class ImageSettings:
    """`images`: which images and boxes are trained on; `train` and `test` are checked where a Transform is built."""

    train: Mapping[str, Any]
    test: Mapping[str, Any]
    resize: str
    interpolation: str
    legacy: bool
    boxes: str
    empty: str
    degenerate_boxes: str
    min_side: int

    def __post_init__(self) -> None:
        checks.integer("test.batch_size", self.test["batch_size"], low=1)
        checks.choice("boxes", self.boxes, ("clip", "mmdet"))
        checks.choice("empty", self.empty, ("keep", "drop", "unannotated"))
        checks.choice("degenerate_boxes", self.degenerate_boxes, ("keep", "drop"))
        checks.integer("min_side", self.min_side, low=0)


@dataclass(frozen=True)
class EvaluateSettings:
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
class CheckpointSettings:
    """`checkpoint`: when a training saves."""

    every: int
    every_s: float
    keep: int

    def __post_init__(self) -> None:
        checks.integer("every", self.every, low=1)
        checks.number("every_s", self.every_s, above=0)
        checks.integer("keep", self.keep, low=1)


@dataclass(frozen=True)
class LockSettings:
    """`lock`: one process trains a run."""

    if_locked: str
    heartbeat_s: float
    stale_s: float

    def __post_init__(self) -> None:
        checks.choice("if_locked", self.if_locked, ("wait", "skip"))
        checks.number("heartbeat_s", self.heartbeat_s, above=0)
        checks.number("stale_s", self.stale_s, low=2 * self.heartbeat_s)


@dataclass(frozen=True)
class DebugSettings:
    """`debug`: images of each split, and steps to profile; None: all images, no profile."""

    images: int | None
    profile: int | None

    def __post_init__(self) -> None:
        for name in ("images", "profile"):
            if getattr(self, name) is not None:
                checks.integer(name, getattr(self, name), low=1)


@dataclass(frozen=True)
class FinetuneSettings:
    """`finetune`: the weights that a training starts from."""

    from_: str | None

    def __post_init__(self) -> None:
        if self.from_ is not None and (not isinstance(self.from_, str) or not self.from_):
            raise checks.OutOfRange("from", f"={self.from_}: must be null, a finished run's ID or the path of a file")


NODES: dict[str, type] = {
    "train": TrainSettings,
    "images": ImageSettings,
    "evaluate": EvaluateSettings,
    "checkpoint": CheckpointSettings,
    "lock": LockSettings,
    "debug": DebugSettings,
    "finetune": FinetuneSettings,
}


def check_settings(config: Mapping[str, Any]) -> None:
    """ConfigError naming the key of a value that is out of range."""
    _build(RunSettings, {field.name: config[field.name] for field in fields(RunSettings)}, "")
    for node, kind in NODES.items():
        _build(kind, {"from_" if key == "from" else key: value for key, value in config[node].items()}, f"{node}.")
    try:
        checks.choice("compat.x152", config["compat"]["x152"], ("release", "common"))  # only recipe=coco_2x reads it
    except checks.OutOfRange as error:
        raise ConfigError(str(error)) from error
    accumulate = config["train"]["accumulate"]
    if accumulate > 1 and config["backbone"].get("norm") == "batch":
        problem = "its statistics would be those of a part of the batch"
        raise ConfigError(
            f"backbone.norm=batch with train.accumulate={accumulate}: {problem}; "
            "use backbone.norm=group, or train.accumulate=1"
        )


def _build(kind: type, values: Mapping[str, Any], path: str) -> None:
    try:
        kind(**values)
    except checks.OutOfRange as error:
        raise ConfigError(f"{path}{error}") from error
