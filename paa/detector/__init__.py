"""The detector: backbones, feature pyramid, head, and the module that joins them.

Each is imported when it is first asked for: a run ID needs only `conventions`, and is computed without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paa.detector.detector import Detector
    from paa.detector.efficientnet import EfficientNetLite0
    from paa.detector.fpn import FPN
    from paa.detector.head import Head
    from paa.detector.resnet import ResNet
    from paa.detector.tiny import Tiny

__all__ = ["FPN", "Detector", "EfficientNetLite0", "Head", "ResNet", "Tiny"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "efficientnet" if name == "EfficientNetLite0" else name.lower()
    return getattr(import_module(f"{__name__}.{module}"), name)
