"""Optimizers. Biases have a separate learning rate and decay (authors' code, solver/build.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from paa.checks import Checked, checked, flag, number, sequence


def parameter_groups(
    model: nn.Module, lr: float, weight_decay: float, bias_lr_factor: float, bias_decay: bool
) -> list[dict]:
    """Return two groups, `base_lr` in each: parameters with "bias" in their name, GroupNorm's too, and the rest."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    plain = [p for name, p in named if "bias" not in name]
    biases = [p for name, p in named if "bias" in name]
    bias_lr = lr * bias_lr_factor
    groups = [
        {"params": plain, "lr": lr, "base_lr": lr, "weight_decay": weight_decay},
        {"params": biases, "lr": bias_lr, "base_lr": bias_lr, "weight_decay": weight_decay if bias_decay else 0.0},
    ]
    return [group for group in groups if group["params"]]


@dataclass(frozen=True)
class SGD(Checked):
    """SGD with momentum (paper, section 4.1: lr 0.01 at 16 images a step, momentum 0.9, weight decay 1e-4)."""

    lr: float = checked(number, 0.01, above=0, high=10)
    momentum: float = checked(number, 0.9, low=0, below=1)
    weight_decay: float = checked(number, 1e-4, low=0, high=1)
    bias_lr_factor: float = checked(number, 2.0, above=0, high=100)
    bias_decay: bool = checked(flag, False)

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return the optimizer of the model's trainable parameters."""
        groups = parameter_groups(model, self.lr, self.weight_decay, self.bias_lr_factor, self.bias_decay)
        return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, fused=True)


@dataclass(frozen=True)
class AdamW(Checked):
    """AdamW, for networks trained from scratch."""

    lr: float = checked(number, 1e-3, above=0, high=1)
    betas: Sequence[float] = (0.9, 0.999)
    weight_decay: float = checked(number, 0.05, low=0, high=1)
    bias_lr_factor: float = checked(number, 1.0, above=0, high=100)
    bias_decay: bool = checked(flag, False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for beta in sequence("betas", self.betas, "two numbers from 0 to below 1", 2):
            number("betas", beta, low=0, below=1)

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return the optimizer of the model's trainable parameters."""
        groups = parameter_groups(model, self.lr, self.weight_decay, self.bias_lr_factor, self.bias_decay)
        first, second = self.betas
        return torch.optim.AdamW(groups, lr=self.lr, betas=(first, second), fused=True)
