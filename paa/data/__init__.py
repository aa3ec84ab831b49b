"""Data sets in COCO format or VOC's: sources, indices, transforms, batches."""

from paa.data.coco import CocoIndex
from paa.data.sources import Coco, Custom, Shapes, Voc

__all__ = ["Coco", "CocoIndex", "Custom", "Shapes", "Voc"]
