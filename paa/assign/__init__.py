"""Assigners: which anchors a ground truth trains.

An assigner is called as `assigner(anchors, predictions, targets, progress)` and returns an `Assignment`; it needs
nothing of this package but `paa.structures` and, for PAA, a box coder, so it works in any detector with anchors.
"""

from collections.abc import Callable

from paa.assign.atss import ATSS
from paa.assign.boundary import B2020, FNP, FSR, A, B, C, D
from paa.assign.contract import BoundaryError, check_boundary
from paa.assign.fcos import FCOS
from paa.assign.max_iou import MaxIoU
from paa.assign.ota import OTA
from paa.assign.paa import PAA
from paa.assign.simota import SimOTA
from paa.structures import Anchors, Assignment, Predictions, Targets

Assigner = Callable[[Anchors, Predictions, Targets, float], Assignment]

__all__ = [
    "ATSS",
    "B2020",
    "FCOS",
    "FNP",
    "FSR",
    "OTA",
    "PAA",
    "A",
    "Assigner",
    "B",
    "BoundaryError",
    "C",
    "D",
    "MaxIoU",
    "SimOTA",
    "check_boundary",
]
