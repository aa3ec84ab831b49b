"""From the names of another project to ours, by rules: a pattern of theirs, and the name that it becomes.

A source of detectors (`official`, `mmdetection`, `torchvision`) makes a `SourceModel` of a checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from paa.conversion.errors import ConversionError

Rule = tuple[str, str | Callable[[re.Match[str]], str]]
"""A regular expression for a whole name, and what it becomes: a template as of `re.Match.expand`, or a function."""

COUNTERS = ".num_batches_tracked"
"""Ending of BatchNorm's counts of batches: they change no output, and come and go without a word."""


@dataclass
class Renamed:
    """A state dict in our names.

    state      our names to tensors.
    theirs     our names to theirs, for messages.
    left_over  their names that no rule knows.
    unused     their names of what we compute otherwise, or have no use for.
    """

    state: dict[str, Tensor] = field(default_factory=dict)
    theirs: dict[str, str] = field(default_factory=dict)
    left_over: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


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


def rename(state: Mapping[str, Tensor], rules: Sequence[Rule], unused: Sequence[str] = ()) -> Renamed:
    """Apply to each name the first rule whose pattern it matches.

    unused  patterns of names without a use here.
    ConversionError where two names become one.
    """
    out = Renamed()
    for name, value in state.items():
        if any(re.fullmatch(pattern, name) for pattern in unused):
            out.unused.append(name)
            continue
        matches = ((re.fullmatch(pattern, name), target) for pattern, target in rules)
        ours = next((m.expand(to) if isinstance(to, str) else to(m) for m, to in matches if m), None)
        if ours is None:
            out.left_over.append(name)
            continue
        if ours in out.theirs:
            raise ConversionError(f"{name} and {out.theirs[ours]}: both are {ours}; must be one of the two")
        out.state[ours], out.theirs[ours] = value, name
    return out


def join_scales(renamed: Renamed) -> None:
    """Make one tensor of the scalars of the levels, "head.scales.0", "head.scales.1", ..., in place."""
    numbers = sorted(int(name.split(".")[2]) for name in renamed.state if name.startswith("head.scales."))
    if numbers != list(range(len(numbers))):
        raise ConversionError(f"scalars of the levels {numbers}: must be those of all levels from 0 on")
    values = [renamed.state.pop(f"head.scales.{i}") for i in numbers]
    names = [renamed.theirs.pop(f"head.scales.{i}") for i in numbers]
    if values:
        renamed.state["head.scales"] = torch.cat([value.reshape(-1) for value in values])
        renamed.theirs["head.scales"] = names[0]
