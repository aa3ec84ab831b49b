"""The authors' release (kkhoot/PAA): names of maskrcnn-benchmark.

Its classes count from 1 and the background is 0, NUM_CLASSES = 81 for COCO; but the head has outputs only for
the classes, and output c is label c + 1 (rpn/paa/paa.py, rpn/paa/inference.py). Labels count the categories in
ascending order of their ids (data/datasets/coco.py). Ours do the same from 0, so that outputs stay where they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

from paa.conversion.errors import ConversionError
from paa.conversion.naming import SourceModel, join_scales, rename
from paa.conversion.safe_load import LoadedCheckpoint

ANCHORS = r"rpn\.anchor_generator\.cell_anchors\.\d+"

STRIDES = (8, 16, 32, 64, 128)

RULES = (
    (r"backbone\.body\.stem\.(conv1|bn1)\.(\w+)", r"backbone.\1.\2"),
    # a deformable convolution is a module of two: the offsets, and what they move
    (r"backbone\.body\.(layer[1-4]\.\d+\.conv2)\.conv\.weight", r"backbone.\1.weight"),
    (r"backbone\.body\.(layer[1-4]\.\d+\.\w+(?:\.\w+)*)", r"backbone.\1"),
    (r"backbone\.fpn\.fpn_inner([234])\.(weight|bias)", lambda m: f"fpn.lateral.{int(m[1]) - 2}.{m[2]}"),
    (r"backbone\.fpn\.fpn_layer([234])\.(weight|bias)", lambda m: f"fpn.output.{int(m[1]) - 2}.{m[2]}"),
    (r"backbone\.fpn\.top_blocks\.(p6|p7)\.(weight|bias)", r"fpn.\1.\2"),
    (r"rpn\.head\.((?:cls|bbox)_tower\.\d+)\.conv\.(weight|bias)", r"head.\1.\2"),
    (r"rpn\.head\.((?:cls|bbox)_tower\.\d+(?:\.offset)?\.(?:weight|bias))", r"head.\1"),
    (r"rpn\.head\.(cls_logits|bbox_pred|iou_pred)\.(weight|bias)", r"head.\1.\2"),
    (r"rpn\.head\.centerness\.(weight|bias)", r"head.iou_pred.\1"),
    (r"rpn\.head\.scales\.(\d+)\.scale", r"head.scales.\1"),
)


def matches(names: Collection[str]) -> bool:
    """Whether these are names of such a checkpoint."""
    return any(n.startswith("backbone.body.") for n in names) and any(n.startswith("rpn.head.") for n in names)


def convert(found: LoadedCheckpoint) -> SourceModel:
    """The detector of a checkpoint; ConversionError where its anchors are not one square at each location."""
    renamed = rename(found.state, RULES, unused=(ANCHORS,))
    join_scales(renamed)
    centerness = any(name.startswith("rpn.head.centerness.") for name in found.state)
    predicts = any(name.startswith("head.iou_pred.") for name in renamed.state)
    auxiliary = "centerness" if centerness else "iou" if predicts else "none"
    scale = _anchor_scale(found.state)
    return SourceModel("official", renamed, "atss" if centerness else "paa", auxiliary, anchor_scale=scale)


def _anchor_scale(state: Mapping[str, Tensor]) -> float | None:
    """Side of the anchors in strides, from the buffers that hold the anchors of one cell; None without these."""
    scales = set()
    for level, stride in enumerate(STRIDES):
        name = f"rpn.anchor_generator.cell_anchors.{level}"
        if name not in state:
            return None
        cells = state[name].double()
        if cells.shape != (1, 4):
            shape = list(cells.shape)
            raise ConversionError(f"{name}: of shape {shape}, must be [1, 4]: one anchor at each location")
        x1, y1, x2, y2 = cells[0].tolist()
        if x2 - x1 != y2 - y1:
            raise ConversionError(f"{name}: {[x1, y1, x2, y2]} is no square")
        scales.add(round((x2 - x1 + 1) / stride, 6))  # inclusive pixels: 64 of them reach from 0 to 63
    if len(scales) > 1:
        raise ConversionError(f"anchors of {sorted(scales)} strides: must be of the same number on all levels")
    return scales.pop()
