"""From the names of another project to ours, by rules: a pattern of theirs, and the name that it becomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

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


def rename(state: Mapping[str, Tensor], rules: Sequence[Rule], unused: Sequence[str] = ()) -> Renamed:
    """Apply to each name the first rule whose pattern it matches.

    unused  patterns of names without a use here.
    ConversionError where two names become one.
    """
    compiled = [(re.compile(pattern), target) for pattern, target in rules]
    without_use = [re.compile(pattern) for pattern in unused]
    out = Renamed()
    for name, value in state.items():
        if any(pattern.fullmatch(name) for pattern in without_use):
            out.unused.append(name)
            continue
        ours = _renamed(name, compiled)
        if ours is None:
            out.left_over.append(name)
        elif ours in out.theirs:
            raise ConversionError(f"{name} and {out.theirs[ours]}: both are {ours}; must be one of the two")
        else:
            out.state[ours], out.theirs[ours] = value, name
    return out


def _renamed(name: str, rules: Sequence[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]]) -> str | None:
    for pattern, target in rules:
        found = pattern.fullmatch(name)
        if found is not None:
            return found.expand(target) if isinstance(target, str) else target(found)
    return None


def join_scales(renamed: Renamed) -> None:
    """Make one tensor of the scalars of the levels, "head.scales.0", "head.scales.1", ..., in place."""
    numbers = sorted(
        int(name.removeprefix("head.scales.")) for name in renamed.state if name.startswith("head.scales.")
    )
    if numbers != list(range(len(numbers))):
        raise ConversionError(f"scalars of the levels {numbers}: must be those of all levels from 0 on")
    values = [renamed.state.pop(f"head.scales.{i}") for i in numbers]
    names = [renamed.theirs.pop(f"head.scales.{i}") for i in numbers]
    if values:
        renamed.state["head.scales"] = torch.cat([value.reshape(-1) for value in values])
        renamed.theirs["head.scales"] = names[0]
