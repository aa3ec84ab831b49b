"""What the authors' code and MMDetection do where they disagree, said once more and apart from conf/.

Read by the literal implementation alone (`literal_*.py`), which follows the code of both, line by line in plain loops
over images, ground truths, levels and candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

STRIDES = (8, 16, 32, 64, 128)
SCALE = 8
TOPK = 9
FLOOR = 0.1
ALPHA, GAMMA = 0.25, 2
LAMBDA_1, LAMBDA_2 = 1.3, 0.5
WEIGHTS = (10, 10, 5, 5)
SCORE, PRE_NMS, NMS_IOU, MOST = 0.05, 1000, 0.6, 100
SIGMA_T, NEIGHBOUR = 0.025, 0.01


@dataclass(frozen=True)
class Rules:
    """One implementation; `one` is what a box of x1 to x2 is wider than x2 - x1."""

    one: int
    centre: float
    all_anchors: bool
    low_quality: str
    lambda_score: float
    covariance: str
    empty_foreground: str
    single: str
    pos_peak: str
    clamp_below: bool
    giou: str
    roundtrip: bool
    epsilon: float
    by_location: bool
    keep_ties: bool


OFFICIAL = Rules(
    one=1,
    centre=0.5,
    all_anchors=True,
    low_quality="own",
    lambda_score=1.0,
    covariance="full",
    empty_foreground="all",
    single="positive",
    pos_peak="list",
    clamp_below=False,
    giou="add",
    roundtrip=True,
    epsilon=0.0,
    by_location=False,
    keep_ties=True,
)

MMDET = Rules(
    one=0,
    centre=0.0,
    all_anchors=False,
    low_quality="claimed",
    lambda_score=1.3,
    covariance="diag",
    empty_foreground="none",
    single="negative",
    pos_peak="subset",
    clamp_below=True,
    giou="max",
    roundtrip=False,
    epsilon=2.0**-23,
    by_location=True,
    keep_ties=False,
)

RULES = {"official": OFFICIAL, "mmdet": MMDET}
