"""MMDetection's PAA and ATSS, of its versions 2 and 3: one network under the same names.

What its extra output predicts, the IoU or the centerness, is therefore read from the configuration that the checkpoint
states, or has to be said. Outputs count the labels from 0, without background.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from paa.conversion.errors import ConversionError
from paa.conversion.naming import SourceModel, join_scales, rename
from paa.conversion.safe_load import LoadedCheckpoint

TOWERS = {"cls_convs": "cls_tower", "reg_convs": "bbox_tower"}
LAYERS = {"conv": 0, "gn": 1}
"""Each step of a tower is three modules of ours: convolution, GroupNorm, ReLU."""

OUTPUTS = {"atss_cls": "cls_logits", "atss_reg": "bbox_pred", "atss_centerness": "iou_pred"}

EXTRA = {3: "p6", 4: "p7"}
"""Of the pyramid's convolutions, the ones behind P3-P5: `add_extra_convs="on_output"` makes P6 from P5."""

AUXILIARY = {"paa": "iou", "atss": "centerness"}


def _pyramid(match: re.Match[str]) -> str:
    level = int(match[1])
    return f"fpn.{EXTRA.get(level, f'output.{level}')}.{match[2]}"


def _tower(match: re.Match[str]) -> str:
    module = 3 * int(match[2]) + LAYERS[match[3]]
    leaf = match[4].replace("conv_offset.", "offset.")
    return f"head.{TOWERS[match[1]]}.{module}.{leaf}"


RULES = (
    # conv2.conv_offset, and conv2_offset in the first version of its deformable convolution
    (r"backbone\.(layer[1-4]\.\d+\.conv2)(?:\.conv)?_offset\.(weight|bias)", r"backbone.\1.offset.\2"),
    (r"backbone\.((?:conv1|bn1|layer[1-4])\.\w+(?:\.\w+)*)", r"backbone.\1"),
    (r"neck\.lateral_convs\.(\d+)\.conv\.(weight|bias)", r"fpn.lateral.\1.\2"),
    (r"neck\.fpn_convs\.(\d+)\.conv\.(weight|bias)", _pyramid),
    (r"bbox_head\.(cls_convs|reg_convs)\.(\d+)\.(conv|gn)\.((?:conv_offset\.)?(?:weight|bias))", _tower),
    (r"bbox_head\.(atss_\w+)\.(weight|bias)", lambda m: f"head.{OUTPUTS.get(m[1], m[1])}.{m[2]}"),
    (r"bbox_head\.scales\.(\d+)\.scale", r"head.scales.\1"),
)


def matches(names: Collection[str]) -> bool:
    """Whether these are names of such a checkpoint."""
    return any(name.startswith("bbox_head.atss_") for name in names)


def convert(found: LoadedCheckpoint) -> SourceModel:
    """The detector of a checkpoint; ConversionError where it was trained on an input that we do not have."""
    if re.search(r"\b(?:bgr_)?to_rgb=False", found.text):
        means = "BGR less 103.53, 116.28, 123.675"
        raise ConversionError(f"its configuration feeds it {means}: an input that paa does not have")
    renamed = rename(found.state, RULES)
    join_scales(renamed)
    heads = set(re.findall(r"\btype='(PAA|ATSS)Head'", found.text))
    assigner = heads.pop().lower() if len(heads) == 1 else None
    auxiliary = AUXILIARY.get(assigner or "", "")
    return SourceModel("mmdet", renamed, assigner, auxiliary, tuple(AUXILIARY), classes=found.classes)
