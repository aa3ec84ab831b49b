"""Which keys of each node of the configuration count in run IDs, declared on the class that configures the node.

`train_id` contains everything that can change the trained weights, `eval_id` everything that can change a detection
once the weights exist. A key counts unless the class of its node says otherwise, so that a new key cannot be forgotten.
Nothing here imports torch: a run ID is computed without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

ALL = ("*",)
"""All keys of a node."""


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


class RunSettings(Settings):
    """The keys at the top of the configuration. Precision, memory layout and compilation change the last digits."""

    NOT_IN_TRAIN_ID = ("device", "threads", "workers", "runs_dir", "plan")
    KEYS: ClassVar = ("seed", "precision", "channels_last", "compile", *NOT_IN_TRAIN_ID)


class BackboneSettings(Settings):
    """`backbone`. What `expects` decides is in `backbone.convention`."""

    NOT_IN_TRAIN_ID = ("expects",)


class ImageSettings(Settings):
    """`images`."""

    NOT_IN_TRAIN_ID = ("test",)
    NOT_IN_EVAL_ID = ("train", "boxes", "empty", "degenerate_boxes", "min_side")


class TrainSettings(Settings):
    """`train`. `accumulate` computes the same step in smaller parts."""

    NOT_IN_TRAIN_ID = ("accumulate",)


class DebugSettings(Settings):
    """`debug`."""

    NOT_IN_TRAIN_ID = ("profile",)
    NOT_IN_EVAL_ID = ("profile",)


class PostprocessSettings(Settings):
    """`postprocess`."""

    NOT_IN_TRAIN_ID = ALL
    NOT_IN_EVAL_ID = ()
    ONLY_IF: ClassVar = dict.fromkeys(("voting_weight", "sigma_t", "voting_iou"), ("postprocess.voting", True))


NODES: dict[str, type[Settings]] = {
    "backbone": BackboneSettings,
    "detector": Settings,
    "anchors": Settings,
    "assign": Settings,
    "auxiliary": Settings,
    "coder": Settings,
    "criterion": Settings,
    "optim": Settings,
    "schedule": Settings,
    "finetune": Settings,
    "images": ImageSettings,
    "train": TrainSettings,
    "debug": DebugSettings,
    "postprocess": PostprocessSettings,
    "compat": NotHashed,
    "recipe": NotHashed,
    "pretrained": NotHashed,
    "evaluate": NotHashed,
    "checkpoint": NotHashed,
    "lock": NotHashed,
    "tracking": NotHashed,
}
"""{node: its class}, of every node but `data`, whose class is the `_target_` (see `paa.datasets`)."""
