"""Assigners: which anchors a ground truth trains.

An assigner is called as `assigner(anchors, predictions, targets, progress)` and returns an `Assignment`; it needs
nothing of this package but `paa.structures` and, for PAA, a box coder, so it works in any detector with anchors.
"""

from collections.abc import Callable

from paa.assign.atss import ATSS
from paa.assign.boundary import B2020, FNP, FSR, A, B, C, D
from paa.assign.contract import BoundaryError, check_boundary
from paa.assign.ddod import DDOD
from paa.assign.dynamic_soft_label import DynamicSoftLabel
from paa.assign.fcos import FCOS
from paa.assign.fsaf import FSAF
from paa.assign.max_iou import MaxIoU
from paa.assign.ota import OTA
from paa.assign.paa import PAA
from paa.assign.pisa import PISA
from paa.assign.simota import SimOTA
from paa.assign.tal import TAL
from paa.structures import Anchors, Assignment, Predictions, Targets

Assigner = Callable[[Anchors, Predictions, Targets, float], Assignment]

__all__ = [
    "ATSS",
    "B2020",
    "DDOD",
    "FCOS",
    "FNP",
    "FSAF",
    "FSR",
    "OTA",
    "PAA",
    "PISA",
    "TAL",
    "A",
    "Assigner",
    "B",
    "BoundaryError",
    "C",
    "D",
    "DynamicSoftLabel",
    "MaxIoU",
    "SimOTA",
    "check_boundary",
]
