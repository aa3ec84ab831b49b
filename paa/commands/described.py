"""The configuration of an imported checkpoint, as overrides: from its source, names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paa.config.compose import Composer
from paa.conversion.errors import ConversionError
from paa.conversion.mmdetection import AUXILIARY
from paa.conversion.naming import SourceModel
from paa.conversion.network_spec import BackboneSpec, HeadSpec

PRESETS = {"official": "official", "mmdet": "mmdet", "torchvision": "modern"}
CONVENTIONS = {"official": "caffe", "mmdet": "torchvision", "torchvision": "torchvision"}

OTHER_SIZES = "resnext101_64x4d"
"""The choice of `backbone` in which any other number and width of groups is set."""


def described(
    model: SourceModel, body: BackboneSpec, head: HeadSpec, named: Mapping[str, Any], compose: Composer
) -> dict[str, str]:
    """Return {key or group: value as typed} for everything that differs from the recipe.

    named  keys on the command line, which win over the checkpoint.
    ConversionError if neither the checkpoint nor the command line says what it was trained with.
    """
    assigner, auxiliary = _method(model, named)
    out = {
        "recipe": "coco_1x",  # for the sizes of images and network; its keys of training mean nothing here
        "recipe.name": "converted",
        "compat": PRESETS[model.kind],
        "assign": assigner,
        "auxiliary": auxiliary,
        "data": "coco",
        "recipe.channels": str(head.channels),
        "detector.head.depth": str(head.depth),
        "detector.head.tower_bias": str(head.tower_bias).lower(),
        "detector.head.dcn": str(head.dcn).lower(),
        "backbone.weights": f"'converted from {model.kind}'",  # no file of that name is looked for
        "backbone.convention": CONVENTIONS[model.kind],
    }
    out |= _backbone(body, compose)
    if named.get("data", "coco") == "coco":
        out["data.root"] = "coco"  # evaluate takes data.root=DIR, predict needs none
    if assigner != "paa":
        out["postprocess.voting"] = "false"  # a step of PAA's
    if model.kind == "torchvision":
        out["anchors.center"] = "0.0"
    if model.anchor_scale is not None:
        out["anchors.scale"] = f"{model.anchor_scale:g}"
    return out


def _method(model: SourceModel, named: Mapping[str, Any]) -> tuple[str, str]:
    """Return the choices of `assign` and `auxiliary`."""
    assigner = str(named.get("assign", model.assigner or ""))
    if not assigner:
        which = " or ".join(f"assign={name}" for name in model.candidates)
        raise ConversionError(f"does not say what it was trained with, and its names fit several; add {which}")
    auxiliary = str(named.get("auxiliary", model.auxiliary or AUXILIARY.get(assigner, "")))
    if not auxiliary:
        raise ConversionError(f"assign={assigner}: add what its extra output predicts, auxiliary=iou or centerness")
    return assigner, auxiliary


def _backbone(body: BackboneSpec, compose: Composer) -> dict[str, str]:
    plain = (body.groups, body.width_per_group) == (1, 64)
    name = f"resnet{body.depth}" if plain else f"resnext{body.depth}_{body.groups}x{body.width_per_group}d"
    out = {"backbone": name}
    if name not in compose.options("backbone"):
        out = {
            "backbone": OTHER_SIZES,
            "backbone.depth": str(body.depth),
            "backbone.groups": str(body.groups),
            "backbone.width_per_group": str(body.width_per_group),
        }
    if body.dcn_stages:
        deformable = f"{out['backbone']}_dcn"
        out["backbone"] = deformable if deformable in compose.options("backbone") else out["backbone"]
        out["backbone.dcn_stages"] = f"[{','.join(map(str, body.dcn_stages))}]"
    return out
