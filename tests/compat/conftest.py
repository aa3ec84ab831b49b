"""Build the components of `compat=official` with single keys of the preset changed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from omegaconf import OmegaConf

from paa.config.compose import Composer, resolved
from paa.experiment.parts import Components, assemble

WORDS = (
    "compat=official",
    "recipe.channels=16",
    "recipe.head_depth=1",
    "recipe.steps=90000",
    "images.train.short=100",
    "optim=sgd",
    "schedule=multistep",
)
BASES: dict[str, tuple[str, ...]] = {
    "paa": WORDS,
    "max_iou": (*WORDS, "assign=max_iou"),
    "atss": (*WORDS, "assign=atss", "auxiliary=centerness"),
    "eight": (*WORDS, "criterion.floor=8"),
    "slip": (*WORDS, "assign.boundary=b_2020"),
    "resnet": (*WORDS, "backbone=resnet18"),
    "deformable": (*WORDS, "backbone=resnet50_dcn", "backbone.dcn_stages=[5]"),
}

Build = Callable[..., Components]


@pytest.fixture(scope="session")
def build() -> Build:
    """Return build(base, key=value, ...), which builds a base with these keys; `weights` is the backbone's."""
    compose = Composer()
    bases = {name: compose.compose(words) for name, words in BASES.items()}

    def made(base: str, weights: str | None = None, **lines: Any) -> Components:
        cfg = copy.deepcopy(bases[base])
        if weights is not None:
            cfg.backbone.weights = weights
        for line, value in lines.items():
            OmegaConf.update(cfg, f"compat.{line}", value)
        return assemble(resolved(cfg))

    return made
