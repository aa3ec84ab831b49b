"""Measure how much faster the optimized parts are than a plain way to compute the same.

The inputs are random scenes of COCO's size, 800 x 1088 pixels, 80 classes, 7 ground truths per image, and records of
made-up runs in a temporary folder. Both ways get the same input, and their results are compared. A ratio is the time of
the plain way divided by ours, the median over rounds in which both run one after the other. Quote ratios, not times,
and run nothing else meanwhile. Freed memory is kept, as in training. The plain mixture is scikit-learn's (`.[dev]`).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from timeit import timeit
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from paa import boxes, checks
from paa.anchors import AnchorGrid
from paa.assign.boundary import C
from paa.assign.mixture import fit
from paa.assign.paa import PAA
from paa.commands.table_options import read_as
from paa.engine.memory import keep_freed_memory
from paa.evaluation.coco import NUMBERS
from paa.losses import focal_loss
from paa.runs import collect
from paa.store.columns import values
from paa.store.frame import scan
from paa.store.paths import RunPaths
from paa.store.record import EvaluationRecord, TrainingRecord
from paa.store.text_table import FORMATS, written
from paa.structures import Anchors, Predictions, Targets
from paa.voting import score_voting

HEAD = ["what", "of", "the plain way", "times faster", "least", "most", "largest difference"]
DIGITS = {"times faster": 1, "least": 1, "most": 1}
STRIDES = (8, 16, 32, 64, 128)
SEED = 0


@dataclass(frozen=True)
class Case:
    """Two ways to compute one thing; `differ` says by how much their results do."""

    what: str
    of: str
    plain_way: str
    ours: Callable[[], Any]
    plain: Callable[[], Any]
    differ: Callable[[Any, Any], str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return the exit code: 0, or 2 for a wrong command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    positive = read_as(lambda text: checks.integer("", int(text), low=1), "an integer from 1")
    parser.add_argument("--rounds", type=positive, default=7, metavar="N", help="rounds in which both ways run (7)")
    threads = torch.get_num_threads()
    parser.add_argument("--threads", type=positive, default=threads, metavar="N", help=f"threads of torch ({threads})")
    parser.add_argument("--small", action="store_true", help="few small inputs, only to show that it runs")
    parser.add_argument("--format", choices=FORMATS, default="text", help="output format (text)")
    options = parser.parse_args(arguments)
    try:
        import sklearn.mixture  # noqa: F401
    except ImportError:
        print("benchmark: needs scikit-learn to compare with; pip install scikit-learn", file=sys.stderr)
        return 2
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        rows = [measured(case, options.rounds) for case in cases(options.small, Path(folder))]
    title = f"{options.rounds} rounds, {options.threads} threads, torch {torch.__version__}, CPU."
    sys.stdout.write(written(options.format, HEAD, rows, DIGITS, title))
    return 0


def measured(case: Case, rounds: int) -> list[Any]:
    """A row of HEAD. The first two calls of each way are not timed: they warm up."""
    difference, ratios = "", []
    for _ in range(2):
        difference = case.differ(case.ours(), case.plain())
    for _ in range(rounds):
        ours, plain = timeit(case.ours, number=1), timeit(case.plain, number=1)
        ratios.append(plain / ours)
    return [case.what, case.of, case.plain_way, statistics.median(ratios), min(ratios), max(ratios), difference]


def cases(small: bool, folder: Path) -> list[Case]:
    """What is compared; records of runs are written to the empty `folder`."""
    images, size = (2, (128, 160)) if small else (16, (800, 1088))
    scene = Scene.random(images, size, 7)
    ours, plain = (PAA(boundary, boxes.BoxCoder()) for boundary in (C(), ScikitLearnC()))
    sets, most = 8 if small else 112, 45
    scores, valid = score_sets(sets, most)
    detections = voters(*((10, 60) if small else (100, 1000)))
    one_by_one = [scene.image(i) for i in range(images)]
    records = record_runs(folder, 5 if small else 1000)
    return [
        Case(
            "fit of the mixtures",
            f"{sets} ground truths of up to {most} candidates",
            "scikit-learn, one ground truth after the other",
            lambda: fit(scores, valid).means,
            lambda: torch.stack([means(s[v].numpy()) for s, v in zip(scores, valid, strict=True)]),
            lambda a, b: f"{(a - b).abs().max():.0e} in a mean",
        ),
        Case(
            "assignment by PAA",
            f"{images} images of {size[0]} x {size[1]}",
            "the same with scikit-learn's mixtures",
            lambda: scene.assigned(ours),
            lambda: scene.assigned(plain),
            differing,
        ),
        Case(
            "assignment by PAA, all images at once",
            f"{images} images of {size[0]} x {size[1]}",
            "one image after the other",
            lambda: scene.assigned(ours),
            lambda: torch.cat([image.assigned(ours) for image in one_by_one]),
            differing,
        ),
        Case(
            "focal loss",
            f"{images} images of {size[0]} x {size[1]}, 80 classes",
            "torchvision's, with dense targets",
            lambda: focal_loss(scene.predictions.logits, scene.classes()),
            lambda: sigmoid_focal_loss(scene.predictions.logits, scene.dense()),
            lambda a, b: f"{(a - b).abs().max():.0e}",
        ),
        Case(
            "score voting",
            f"{len(detections[0])} detections of {len(detections[2])} candidates",
            "one detection after the other",
            lambda: score_voting(*detections),
            lambda: voted(*detections),
            lambda a, b: f"{(a - b).abs().max():.0e} px",
        ),
        Case(
            "collecting records",
            f"{records} trainings with an evaluation each",
            "a pandas frame for each, concatenated",
            lambda: collect(folder),
            lambda: framed(folder),
            lambda a, b: f"{int((a.astype(object).fillna('-') != b.astype(object).fillna('-')).sum().sum())} cells",
        ),
    ]


def differing(ours: Tensor, plain: Tensor) -> str:
    """Anchors whose ground truths differ."""
    return f"{int((ours != plain).sum())} of {ours.numel()} anchors"


@dataclass(frozen=True)
class Scene:
    """Images with ground truths and what an untrained network might say of each anchor."""

    anchors: Anchors
    predictions: Predictions
    targets: Targets

    @classmethod
    def random(cls, images: int, size: tuple[int, int], most: int) -> Scene:
        """`images` of one size, each with `most` boxes from 1/16 of its side to the whole."""
        draw = torch.Generator().manual_seed(SEED)
        shapes = tuple((-(-size[0] // s), -(-size[1] // s)) for s in STRIDES)
        anchors = AnchorGrid(strides=STRIDES)(shapes, torch.tensor([size] * images), size)
        room = torch.tensor([size[1], size[0]])
        side = room * 16.0 ** -torch.rand(images, most, 2, generator=draw)
        corner = torch.rand(images, most, 2, generator=draw) * (room - side)
        labels = torch.randint(80, (images, most), generator=draw)
        targets = Targets(torch.cat((corner, corner + side), 2), labels, torch.ones(images, most, dtype=torch.bool))
        count = len(anchors.boxes)
        logits = torch.randn(images, count, 80, generator=draw) - 2
        return cls(anchors, Predictions(logits, torch.randn(images, count, 4, generator=draw) / 2), targets)

    def image(self, i: int) -> Scene:
        """One of the images alone."""
        a, p, t, own = self.anchors, self.predictions, self.targets, slice(i, i + 1)
        anchors = Anchors(a.boxes, a.level, a.inside[own], a.shapes, a.strides)
        targets = Targets(t.boxes[own], t.labels[own], t.valid[own])
        return Scene(anchors, Predictions(p.logits[own], p.deltas[own]), targets)

    def classes(self) -> Tensor:
        """A label [B, A] of each anchor: of its image's ground truths in turn, and none for every second anchor."""
        turn = torch.arange(len(self.anchors.boxes))
        return self.targets.labels[:, turn % self.targets.labels.shape[1]].where(turn % 2 == 0, -1)

    def dense(self) -> Tensor:
        """The same labels as targets [B, A, 80]."""
        labels = self.classes().unsqueeze(-1)
        return torch.zeros_like(self.predictions.logits).scatter_(-1, labels.clamp(min=0), (labels >= 0).float())

    def assigned(self, by: PAA) -> Tensor:
        """gt_index [B, A]."""
        return by(self.anchors, self.predictions, self.targets).gt_index


class ScikitLearnC:
    """Boundary c with a mixture of scikit-learn for each ground truth, as the authors' code and MMDetection have it."""

    scope = "candidates"

    def __call__(self, scores: Tensor, valid: Tensor, progress: float = 0.0) -> Tensor:
        """Labels [N, M] int8 of ranked candidates."""
        labels = torch.zeros_like(valid, dtype=torch.int8)
        for row, (every, real) in enumerate(zip(scores, valid, strict=True)):
            x = every[real].double().numpy().reshape(-1, 1)
            if len(x) < 2:
                labels[row, : len(x)] = 1
                continue
            mixture = gaussians(x)
            good, density = mixture.predict(x) == 0, mixture.score_samples(x)
            peak = np.where(good, density, -np.inf).argmax() if good.any() else len(x) - 1
            labels[row, : peak + 1] = 1
        return labels


def gaussians(x: np.ndarray) -> Any:
    """The mixture that scikit-learn fits to x [M, 1], started as the authors start it."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    start = {"means_init": [[x.min()], [x.max()]], "precisions_init": np.ones((2, 1, 1)), "weights_init": [0.5, 0.5]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(2, **start).fit(x)


def means(scores: np.ndarray) -> Tensor:
    """[2] of the mixture of some scores."""
    return torch.from_numpy(gaussians(scores.reshape(-1, 1)).means_[:, 0])


def score_sets(sets: int, most: int) -> tuple[Tensor, Tensor]:
    """Ascending scores [N, M] of a good and a bad group, and which are there [N, M]: between 9 and `most` of each."""
    draw = torch.Generator().manual_seed(SEED)
    counts = torch.randint(9, most + 1, (sets, 1), generator=draw)
    good = torch.rand(sets, most, generator=draw) < 0.3
    scores = torch.randn(sets, most, generator=draw, dtype=torch.float64) * 0.2 + torch.where(good, 0.8, 1.8)
    valid = torch.arange(most) < counts
    return scores.masked_fill(~valid, torch.inf).sort(1).values, valid


def voters(kept: int, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What voting is called with: `kept` of `count` boxes that lie in groups, in 10 classes."""
    draw = torch.Generator().manual_seed(SEED)
    center = torch.rand(kept, 2, generator=draw) * 800
    of = torch.arange(count) % kept
    middle = center[of] + torch.randn(count, 2, generator=draw) * 6
    half = 30 + torch.rand(count, 2, generator=draw) * 20
    every = torch.cat((middle - half, middle + half), 1)
    labels = of % 10
    return every[:kept], labels[:kept], every, labels, torch.rand(count, generator=draw)


def voted(kept: Tensor, labels: Tensor, every: Tensor, every_labels: Tensor, scores: Tensor) -> Tensor:
    """Score voting, a detection at a time, as the authors' code loops over classes and boxes."""
    found = []
    for box, label in zip(kept.double(), labels, strict=True):
        same = every_labels == label
        others = every[same].double()
        iou = boxes.iou_matrix(box.unsqueeze(0), others)[0]
        near = iou > 0.01
        weight = torch.exp(-((1 - iou[near]) ** 2) / 0.025) * scores[same][near]
        found.append((weight.unsqueeze(1) * others[near]).sum(0) / weight.sum())
    return torch.stack(found).float()


def record_runs(folder: Path, count: int) -> int:
    """Records of `count` trainings with an evaluation each, in `folder`; how many trainings."""
    config = {"recipe": {"name": "mini"}, "assign": {"_target_": "paa.assign.PAA", "topk": 9}, "seed": 0}
    alike: dict[str, Any] = {"weights_sha256": "0" * 64, "origin": {}, "wall_s": 1.0, "digests": {"data.train": "0"}}
    trained: dict[str, Any] = {"seed": 0, "threads": 1, "device": "cpu", "steps": 30, "started": 0.0, "overrides": []}
    found: dict[str, Any] = {"iou_error": None, "images": 1, "detections": 1, "matched": 1, "postprocess": {}}
    found["per_class"] = {f"class {label}": 0.0 for label in range(80)}
    for number in range(count):
        paths, numbers = RunPaths(folder, f"t{number:010d}"), dict.fromkeys(NUMBERS, float(number))
        TrainingRecord(train_id=paths.train_id, config=config, **trained, **alike).write(paths.record)
        names = {"eval_id": "e0000000000", "train_id": paths.train_id, "split": "val", "voting": False}
        EvaluationRecord(**names, numbers=numbers, **found, **alike).write(paths.evaluation("e0000000000"))
    return count


def framed(folder: Path) -> pd.DataFrame:
    """The frame of `collect`, but for the types of its columns, with a frame for each row."""
    rows = [values(training, one) for _, training, every in scan(folder) for one in every]
    return pd.concat([pd.DataFrame([each], dtype=object) for each in rows], ignore_index=True)


if __name__ == "__main__":
    sys.exit(main())
