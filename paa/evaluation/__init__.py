"""COCO evaluation of detections, and what it leaves for later statistics.

`coco` runs pycocotools; `matches` keeps what it found for each detection.
"""

from paa.evaluation.coco import Evaluation, Results, evaluate
from paa.evaluation.matches import Matches

__all__ = ["Evaluation", "Matches", "Results", "evaluate"]
