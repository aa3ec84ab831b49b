"""Initialize a detector from the weights of another: for other classes, or with another auxiliary task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from paa import checks

CLASSES = "head.cls_logits."
"""The layer that has an output for each class: it starts fresh where the classes are others."""

OPTIONAL = ("head.iou_pred.",)
"""Parts that one detector has and another of the same kind has not."""


class Taken(NamedTuple):
    """Parameters by name: those that keep their fresh start, and those of the source that were left out."""

    fresh: list[str]
    left_out: list[str]


def initialize(
    detector: nn.Module, state: Mapping[str, Tensor], source: str, same_classes: bool | None = None
) -> Taken:
    """Load the tensors of `state` into `detector` by name; return what was not taken.

    state         a detector's state dict.
    source        what to call it in messages.
    same_classes  whether its classes are the detector's; None: unknown, then an equal number counts as the same.

    Class logits of other classes, and what CLASSES and OPTIONAL name and one side lacks, start fresh or are left out.
    Everything else must be there in the same shape: `checks.OutOfRange` of the argument `weights` names what is not.
    """
    own = detector.state_dict()
    other = {name for name in own if name.startswith(CLASSES) and not _same_outputs(own[name], state.get(name))}
    if same_classes is False:
        other = {name for name in own if name.startswith(CLASSES)}
    fresh = sorted(name for name in own if name in other or (name not in state and name.startswith(OPTIONAL)))
    left_out = sorted(name for name in state if name not in own and name.startswith(OPTIONAL))
    taken = own.keys() - set(fresh)
    problems = {
        "missing": sorted(taken - state.keys()),
        "surplus": sorted(state.keys() - own.keys() - set(left_out)),
        "of another shape": sorted(n for n in taken & state.keys() if own[n].shape != state[n].shape)
        + sorted(n for n in other & state.keys() if own[n].shape[1:] != state[n].shape[1:]),
    }
    problems["missing"] += sorted(other - state.keys())
    if any(problems.values()):
        found = "; ".join(f"{what}: {_shortened(names)}" for what, names in problems.items() if names)
        raise checks.OutOfRange("weights", f"={source}: not the weights of this detector; {found}")
    detector.load_state_dict({**own, **{name: state[name] for name in taken}})
    return Taken(fresh, left_out)


def _same_outputs(own: Tensor, found: Tensor | None) -> bool:
    return found is not None and own.shape[0] == found.shape[0]


def _shortened(names: list[str], most: int = 12) -> str:
    """List all names, or the first of them and how many more there are: another backbone can differ in hundreds."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
