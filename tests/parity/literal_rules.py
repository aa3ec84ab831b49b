"""How the paper, the authors' code and MMDetection differ, written a second time, independent of conf/.

Read by the literal implementation alone (`literal_*.py`), which follows both codes, line by line in plain loops over
images, ground truths, levels and candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

STRIDES = (8, 16, 32, 64, 128)
SCALE = 8
TOPK = 9
ALPHA, GAMMA = 0.25, 2
LAMBDA_1, LAMBDA_2 = 1.3, 0.5
WEIGHTS = (10, 10, 5, 5)
SCORE, PRE_NMS, NMS_IOU, MOST = 0.05, 1000, 0.6, 100


@dataclass(frozen=True)
class Rules:
    """One implementation.

    one        what a box of x1 to x2 is wider than x2 - x1
    floor      least IoU of a candidate; an anchor that overlaps no ground truth never is one by it
    at_zero    whether a ground truth that no anchor overlaps has all of them as its low-quality matches
    root       whether a detection's score is the root of class score x predicted IoU, or the product
    sigma_t    width of score voting
    neighbor  IoU beyond which a box votes
    """

    one: int
    center: float
    all_anchors: bool
    floor: float
    low_quality: str
    at_zero: bool
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
    root: bool
    sigma_t: float
    neighbor: float


OFFICIAL = Rules(
    one=1,
    center=0.5,
    all_anchors=True,
    floor=0.1,
    low_quality="own",
    at_zero=True,
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
    root=True,
    sigma_t=0.025,
    neighbor=0.01,
)

MMDET = Rules(
    one=0,
    center=0.0,
    all_anchors=False,
    floor=0.1,
    low_quality="claimed",
    at_zero=True,
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
    root=True,
    sigma_t=0.025,
    neighbor=0.01,
)

PAPER = replace(OFFICIAL, floor=0.0, low_quality="none", at_zero=False, root=False, sigma_t=0.0025, neighbor=0.0)
"""Procedure 1, Eq. 8 and section 3.3; where the paper is silent, the authors' code."""

RULES = {"official": OFFICIAL, "mmdet": MMDET, "paper": PAPER}
