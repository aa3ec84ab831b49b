"""Whether converted weights are those of a network of ours, name by name and shape by shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from paa.conversion.errors import ConversionError
from paa.conversion.naming import COUNTERS, Renamed


def match_state(
    own: Mapping[str, Tensor], renamed: Renamed, path: Path, fresh: Sequence[str] = ()
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the whole state of the network: the tensors of `renamed` in place of those of `own`, as float32.

    own    state of the network that they must be of; may lie on the meta device where nothing is fresh.
    fresh  beginnings of names that stay as they are in `own`.
    Returns the state and the names that stayed. ConversionError says, in a line each, which of our names are missing,
    and which of theirs are of another shape or left over.
    """
    state = renamed.state
    stay = [name for name in own if name.startswith(tuple(fresh)) and name not in state]
    counters = [name for name in own if name.endswith(COUNTERS)]
    missing = sorted(own.keys() - state.keys() - {*stay, *counters})
    both = own.keys() & state.keys()
    misshapen = [
        f"{renamed.theirs[name]} {list(state[name].shape)}, must be {list(own[name].shape)}"
        for name in sorted(both)
        if own[name].shape != state[name].shape
    ]
    surplus = [renamed.theirs[name] for name in state if name not in own and not name.endswith(COUNTERS)]
    left_over = sorted([*surplus, *(name for name in renamed.left_over if not name.endswith(COUNTERS))])
    kinds = {"missing, by paa's names": missing, "of another shape": misshapen, "left over": left_over}
    if any(kinds.values()):
        lines = [f"{path}: not the weights of this network"]
        lines += [f"  {kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
        raise ConversionError("\n".join(lines))
    made = {name: torch.zeros((), dtype=torch.int64) for name in counters if name not in state}
    whole = {name: own[name] for name in stay} | {name: _plain(state[name]) for name in both} | made
    return {name: whole[name] for name in own}, stay


def check_norms(network: nn.Module, path: Path) -> None:
    """Raise ConversionError where a frozen BatchNorm divides by zero: a channel without variance, and no epsilon."""
    for name, module in network.named_modules():
        if isinstance(module, FrozenBatchNorm2d):
            factor = module.weight * (module.running_var + module.eps).rsqrt()
            if not factor.isfinite().all():
                problem = f"{name} has channels without variance, and backbone.bn_eps={module.eps:g}"
                raise ConversionError(f"{path}: {problem}; set backbone.bn_eps=1e-5")


def _plain(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
