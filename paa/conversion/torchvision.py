"""torchvision's RetinaNet and FCOS, as far as their parts are ours.

The backbone is, and so is the pyramid where P6 is made from P5 (all but `retinanet_resnet50_fpn_v2`). FCOS has our
towers, class logits and centerness, but its boxes are distances. A RetinaNet has our head where it is built with
GroupNorm of 32 groups and one square anchor at each location; its deltas have weights of 1 where ours have (10, 10, 5,
5), and no scalars.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from paa.conversion.naming import Renamed, SourceModel, rename
from paa.conversion.safe_load import LoadedCheckpoint

TOWERS = {"classification": "cls_tower", "regression": "bbox_tower"}
OUTPUTS = {"cls_logits": "cls_logits", "bbox_reg": "bbox_pred", "bbox_ctrness": "iou_pred"}
DELTA_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
LEVELS = 5

BACKBONE = (
    (r"backbone\.body\.((?:conv1|bn1|layer[1-4])\.\w+(?:\.\w+)*)", r"backbone.\1"),
    # inner_blocks.0.0 since the block can have a norm, inner_blocks.0 before
    (r"backbone\.fpn\.inner_blocks\.(\d)(?:\.0)?\.(weight|bias)", r"fpn.lateral.\1.\2"),
    (r"backbone\.fpn\.layer_blocks\.(\d)(?:\.0)?\.(weight|bias)", r"fpn.output.\1.\2"),
    (r"backbone\.fpn\.extra_blocks\.(p6|p7)\.(weight|bias)", r"fpn.\1.\2"),
)


def _step(match: re.Match[str]) -> str:
    return f"head.{TOWERS[match[1]]}.{3 * int(match[2]) + int(match[3])}.{match[4]}"


_HEADS = r"head\.(classification|regression)_head"

HEAD = (
    (rf"{_HEADS}\.conv\.(\d+)\.([01])\.(weight|bias)", _step),  # RetinaNet: nested steps
    # FCOS: modules in a row, as ours
    (rf"{_HEADS}\.conv\.(\d+)\.(weight|bias)", lambda m: f"head.{TOWERS[m[1]]}.{m[2]}.{m[3]}"),
    (rf"{_HEADS}\.(cls_logits|bbox_reg|bbox_ctrness)\.(weight|bias)", lambda m: f"head.{OUTPUTS[m[2]]}.{m[3]}"),
)


def matches(names: Collection[str]) -> bool:
    """Whether these are names of such a checkpoint."""
    body = any(name.startswith("backbone.body.") for name in names)
    return body and any(name.startswith("head.classification_head.") for name in names)


def convert(found: LoadedCheckpoint) -> SourceModel:
    """The parts of a checkpoint that are ours; the others stand in `other`, and their weights are of no use."""
    state = found.state
    is_fcos = any(".bbox_ctrness." in name for name in state)
    other = _other_head(state, is_fcos)
    p6 = state.get("backbone.fpn.extra_blocks.p6.weight")
    if p6 is not None and p6.dim() == 4 and p6.shape[1] != p6.shape[0]:
        other["fpn.p6"] = "P6 is made from C5"
    renamed = rename(state, (*BACKBONE, *HEAD))
    for name in [name for name in renamed.state if name.startswith(tuple(other))]:
        del renamed.state[name]
        renamed.unused.append(renamed.theirs.pop(name))
    if not is_fcos and not other:
        _as_our_deltas(renamed)
    auxiliary = "centerness" if is_fcos else "none"
    return SourceModel("torchvision", renamed, "max_iou", auxiliary, other=other, by_id=True)


def _other_head(state: Mapping[str, Tensor], is_fcos: bool) -> dict[str, str]:
    if is_fcos:
        return {"head.bbox_pred": "boxes are distances to the sides", "head.scales": "its levels have no scalars"}
    if "head.classification_head.conv.0.1.weight" not in state:
        return {"head": "its towers have no GroupNorm"}
    boxes = state.get("head.regression_head.bbox_reg.weight")
    count = 1 if boxes is None else boxes.shape[0] // 4
    if count == 1:
        return {}
    reason = f"{count} anchors at each location"
    return {"head.cls_logits": reason, "head.bbox_pred": reason, "head.scales": "its levels have no scalars"}


def _as_our_deltas(renamed: Renamed) -> None:
    for leaf in ("weight", "bias"):
        value = renamed.state.get(f"head.bbox_pred.{leaf}")
        if value is not None and value.shape[0] == len(DELTA_WEIGHTS):
            factors = torch.tensor(DELTA_WEIGHTS, dtype=value.dtype)
            renamed.state[f"head.bbox_pred.{leaf}"] = value * factors.reshape(-1, *[1] * (value.dim() - 1))
    renamed.state["head.scales"] = torch.ones(LEVELS)
    renamed.theirs["head.scales"] = "(1 for each level)"
