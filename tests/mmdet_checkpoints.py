"""Names and shapes of MMDetection's checkpoints, written down from its code: `python tests/mmdet_checkpoints.py`.

The networks are built from its own configurations on the meta device, with other backbones and deformable stages set
in. In the place of its modulated deformable convolution, which mmcv-lite lacks, stands a module of the same parameters
(mmcv/ops/modulated_deform_conv.py): a convolution and `conv_offset` of 27 channels.
"""

from __future__ import annotations

import json
import lzma
import sys
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

PARITY = Path(__file__).with_name("parity")
FILE = PARITY / "mmdet_checkpoints.json.xz"

Shapes = dict[str, list[int]]

R50 = "paa/paa_r50_fpn_1x_coco.py"
DCN = {"type": "DCNv2", "deform_groups": 1, "fallback_on_stride": False}


def _next(depth: int, groups: int, width: int, *stages: bool) -> dict[str, Any]:
    node: dict[str, Any] = {"type": "ResNeXt", "depth": depth, "groups": groups, "base_width": width}
    return node | ({"dcn": DCN, "stage_with_dcn": stages} if stages else {})


NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "PAA R-50": (R50, {}),
    "PAA R-101": ("paa/paa_r101_fpn_1x_coco.py", {}),
    "ATSS R-101": ("atss/atss_r101_fpn_1x_coco.py", {}),
    "PAA R-18": (R50, {"depth": 18}),
    "PAA R-101, DCN in C3-C5": (R50, {"depth": 101, "dcn": DCN, "stage_with_dcn": (False, True, True, True)}),
    "PAA X-101-32x4d": (R50, _next(101, 32, 4)),
    "PAA X-101-64x4d": (R50, _next(101, 64, 4)),
    "PAA X-101-64x4d, DCN in C4-C5": (R50, _next(101, 64, 4, False, False, True, True)),
    "PAA X-152-32x8d, DCN in C3-C5": (R50, _next(152, 32, 8, False, True, True, True)),
}
"""Its configuration, and the changed keys of the backbone."""

EXPECTED: dict[str, tuple[str, list[int]]] = {
    "PAA R-50": ("resnet50", []),
    "PAA R-101": ("resnet101", []),
    "ATSS R-101": ("resnet101", []),
    "PAA R-18": ("resnet18", []),
    "PAA R-101, DCN in C3-C5": ("resnet101_dcn", [3, 4, 5]),
    "PAA X-101-32x4d": ("resnext101_64x4d", []),
    "PAA X-101-64x4d": ("resnext101_64x4d", []),
    "PAA X-101-64x4d, DCN in C4-C5": ("resnext101_64x4d_dcn", [4, 5]),
    "PAA X-152-32x8d, DCN in C3-C5": ("resnext152_32x8d_dcn", [3, 4, 5]),
}
"""Our choice of `backbone`, and the deformable stages."""


class DeformConv(nn.Module):
    """The parameters of mmcv's ModulatedDeformConv2dPack."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, groups: int = 1, bias: bool = True, **rest: Any
    ) -> None:
        super().__init__()
        square = (kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *square))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.conv_offset = nn.Conv2d(in_channels, 3 * kernel_size**2, kernel_size)


def build(config: str, backbone: dict[str, Any] | None = None) -> tuple[nn.Module, str]:
    """Build the network of one of its configurations; return it with the configuration as text."""
    import mmdetection

    mmdetection.activate()
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    init_default_scope("mmdet")
    found = Config.fromfile(str(mmdetection.FOLDER / "mmdet" / ".mim" / "configs" / config))
    node = found.model
    node.backbone.pop("init_cfg", None)
    node.backbone.update(backbone or {})
    if node.backbone.depth < 50:
        node.neck.in_channels = [64, 128, 256, 512]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is old: of what it calls, some is to be dropped
        return MODELS.build(node), found.pretty_text


def written_down() -> dict[str, Shapes]:
    """Return names and shapes of all NETWORKS from its code."""
    import mmdetection

    mmdetection.activate()
    from mmengine.registry import MODELS

    was = MODELS._module_dict.get("DCNv2")
    MODELS._module_dict["DCNv2"] = DeformConv
    try:
        no_numbers = mock.patch.object(nn.modules.conv._ConvNd, "reset_parameters", return_value=None)
        with torch.device("meta"), no_numbers:
            built = {name: build(*arguments)[0] for name, arguments in NETWORKS.items()}
    finally:
        if was is not None:
            MODELS._module_dict["DCNv2"] = was
    return {
        name: {key: list(value.shape) for key, value in network.state_dict().items()} for name, network in built.items()
    }


def read() -> dict[str, Shapes]:
    """Read the committed lists."""
    lists: dict[str, Shapes] = json.loads(lzma.decompress(FILE.read_bytes()))
    return lists


if __name__ == "__main__":
    sys.path.insert(0, str(PARITY))
    FILE.write_bytes(lzma.compress(json.dumps(written_down()).encode(), preset=9))
    print(f"{FILE}: {FILE.stat().st_size} bytes")
