"""Data sets in COCO format: sources, indices, transforms, batches."""

from paa.data.coco import CocoIndex
from paa.data.sources import Coco, Custom, Shapes

__all__ = ["Coco", "CocoIndex", "Custom", "Shapes"]
