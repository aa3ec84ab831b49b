"""What a source makes of a checkpoint: our names, and what else is known of the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from paa.conversion.naming import Renamed


@dataclass(frozen=True)
class SourceModel:
    """A detector of another project, in our names.

    kind         where it comes from: "official" (the authors' release), "mmdet" or "torchvision".
    renamed      its weights.
    assigner     what it was trained with, by our choice of the group: "paa", "atss" or "max_iou"; None: the file does
                 not say, and it can be one of `candidates`.
    auxiliary    what its extra output predicts, by our choice: "iou", "centerness" or "none".
    other        parts that are not ours: beginnings of our names, each with the reason.
    classes      names of its classes, in the order of its outputs, where the file states them.
    by_id        whether its outputs count the ids of the categories, with the background at 0 (torchvision), or the
                 labels.
    anchor_scale side of its anchors in strides, where the file states it.
    """

    kind: Literal["official", "mmdet", "torchvision"]
    renamed: Renamed
    assigner: str | None
    auxiliary: str
    candidates: tuple[str, ...] = ()
    other: dict[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    by_id: bool = False
    anchor_scale: float | None = None
