"""Data sets in COCO format or VOC's: sources, indices, transforms, batches."""

from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.formats.sources import Coco, Custom, Shapes, Voc

__all__ = ["Coco", "CocoIndex", "Custom", "Shapes", "Voc"]
