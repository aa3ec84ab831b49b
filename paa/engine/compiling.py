"""torch.compile of the detector, for training only: checkpoints and evaluation use the plain module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from paa.checks import UserError


class CannotCompile(UserError):  # noqa: N818
    """torch.compile does not work on this machine."""


def compiled(detector: nn.Module, device: torch.device) -> Callable[..., Any]:
    """Return a function that computes what `detector` does, compiled at its first call; it shares its parameters.

    The module itself is left as it is, so that no key of its state carries torch.compile's `_orig_mod.`. A second size
    of images makes the graph one for all sizes. CannotCompile, in one line, where the machine lacks what it takes.
    """
    try:
        torch.compile(lambda x: x * 2 + 1)(torch.ones(2, device=device))
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        needs = "a C++ compiler (g++)" if device.type == "cpu" else "triton and a C compiler (gcc)"
        raise CannotCompile(f"compile=true: needs {needs} here ({reason}); or set compile=false") from error
    return torch.compile(detector)
