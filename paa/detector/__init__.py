"""The detector: backbones, feature pyramid, head, and the module that joins them."""

from paa.detector.detector import Detector
from paa.detector.efficientnet import EfficientNetLite0
from paa.detector.fpn import FPN
from paa.detector.head import Head
from paa.detector.resnet import ResNet
from paa.detector.tiny import Tiny

__all__ = ["FPN", "Detector", "EfficientNetLite0", "Head", "ResNet", "Tiny"]
