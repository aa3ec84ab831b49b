"""All sources of whole detectors, and which of them a checkpoint is from."""

from __future__ import annotations

from types import ModuleType
from typing import cast

from paa.conversion import mmdetection, official, torchvision
from paa.conversion.errors import ConversionError
from paa.conversion.naming import SourceModel
from paa.conversion.safe_load import LoadedCheckpoint

PROJECTS: tuple[ModuleType, ...] = (official, mmdetection, torchvision)

TITLES = {
    "official": "the authors' release",
    "mmdet": "MMDetection",
    "torchvision": "torchvision",
    "detectron": "Detectron",
}
"""What to call each in a sentence."""


def convert(found: LoadedCheckpoint) -> SourceModel:
    """The detector of a checkpoint, by its names; ConversionError where they are nobody's that is known here."""
    for source in PROJECTS:
        if source.matches(found.state):
            return cast(SourceModel, source.convert(found))
    names = found.state.keys()
    if any(name.startswith("fpn.lateral.") for name in names):
        raise ConversionError("has paa's own names already; finetune.from=FILE starts a training from it")
    if {"conv1.weight", "layer1.0.conv1.weight"} <= names:
        problem = "holds only a backbone, under torchvision's names"
        raise ConversionError(f"{problem}; backbone.weights=FILE takes it as it is")
    first = ", ".join(sorted(names)[:3])
    known = "the authors' release, MMDetection's PAA and ATSS, torchvision's RetinaNet and FCOS"
    raise ConversionError(f"has names of no detector that is known here ({first}, ...); known are {known}")
