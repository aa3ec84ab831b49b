"""Base of backbones with published weights: normalization, and stages that are not trained."""

from __future__ import annotations

from typing import Any

from torch import nn

from paa import checks
from paa.detector.norm import NORMS


class Pretrained(nn.Module):
    """Base of such backbones. A subclass names its parts in `parts`, builds them, and then calls `freeze`.

    weights        None: from scratch; else a name or the path of a file.
    norm           "frozen": BatchNorm as constants (paper, authors' code); "statistics": statistics frozen, scale and
                   shift trained past the frozen stages (MMDetection); "batch"; "group". None: "frozen" with weights,
                   "group" without. The first two need weights, "group" cannot take any.
    frozen_stages  0: none; 1: the stem; 2: stem and C2 (paper); up to 5. None: 2 with weights, 0 without.
    """

    strides = (8, 16, 32)
    parts: tuple[tuple[str, ...], ...]
    """Names of the submodules of the stem, C2, C3, C4 and C5."""

    resolved_defaults: dict[str, Any]
    """What arguments that were left open have come to; with these in their place the same network is built again."""

    def __init__(self, weights: str | None, norm: str | None, frozen_stages: int | None) -> None:
        super().__init__()
        if weights is not None and (not isinstance(weights, str) or not weights):
            raise checks.OutOfRange("weights", f"={weights}: must be null, a name or the path of a file")
        self.norm = _checked_norm(norm, weights)
        self.frozen_stages = _checked_frozen(frozen_stages, weights)
        self.resolved_defaults = {}

    def freeze(self) -> None:
        """Exclude the frozen stages from training."""
        for module in self._frozen():
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Pretrained:
        """Set training mode, but BatchNorm of frozen stages (of all, for norm=statistics) keeps its statistics."""
        super().train(mode)
        for root in [self] if self.norm == "statistics" else self._frozen():
            for module in root.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def _frozen(self) -> list[nn.Module]:
        return [self.get_submodule(name) for stage in self.parts[: self.frozen_stages] for name in stage]


def _checked_norm(norm: str | None, weights: str | None) -> str:
    if norm is None:
        return "group" if weights is None else "frozen"
    checks.choice("norm", norm, NORMS)
    if weights is None and norm in ("frozen", "statistics"):
        raise checks.OutOfRange("norm", f"={norm} needs weights: random statistics cannot train; use batch or group")
    if weights is not None and norm == "group":
        raise checks.OutOfRange(
            "norm", "=group cannot take weights: they hold BatchNorm; use frozen, statistics or batch"
        )
    return norm


def _checked_frozen(frozen_stages: int | None, weights: str | None) -> int:
    if frozen_stages is None:
        return 0 if weights is None else 2
    checks.integer("frozen_stages", frozen_stages, low=0, high=5)
    if weights is None and frozen_stages > 0:
        raise checks.OutOfRange("frozen_stages", f"={frozen_stages} needs weights: without, it must be 0")
    return frozen_stages
