"""COCO evaluation of detections, and what it leaves for later statistics.

`coco` runs pycocotools; `matches` keeps what it found for each detection, and makes AP of it
again on any set of images.
"""

from paa.evaluation.coco import Evaluation, Results, evaluate
from paa.evaluation.matches import Matches, average_precision

__all__ = ["Evaluation", "Matches", "Results", "average_precision", "evaluate"]
