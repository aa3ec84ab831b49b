"""Initialize a detector from the weights of another: for other classes, or with another auxiliary task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Size, Tensor, nn

from paa.detector.weights import refuse_misfits

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
    classes = {
        name
        for name in own
        if name.startswith(CLASSES)
        and (same_classes is False or name not in state or len(own[name]) != len(state[name]))
    }
    optional = {name for name in own.keys() ^ state.keys() if name.startswith(OPTIONAL)}

    def shapes(tensors: Mapping[str, Tensor]) -> dict[str, Size]:
        """What must agree: of class logits that start fresh all but their number."""
        return {n: t.shape[1:] if n in classes else t.shape for n, t in tensors.items() if n not in optional}

    problem = f"={source}: not the weights of this detector"
    refuse_misfits(shapes(own), shapes(state), problem, most=12)  # another backbone can differ in hundreds
    fresh = sorted(classes | (optional & own.keys()))
    left_out = sorted(optional - own.keys())
    taken = own.keys() - set(fresh)
    detector.load_state_dict({**own, **{name: state[name] for name in taken}})
    return Taken(fresh, left_out)
