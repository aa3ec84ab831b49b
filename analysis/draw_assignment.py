"""Draws what a finished run's assigner does with one image.

    python analysis/draw_assignment.py ID [--image N] [--out FILE]

Left, the image with its ground truths and, at the centres of their anchors, what each anchor became. Right, the sorted
candidate scores of each ground truth: best to the left, positives filled.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib
import numpy as np
import torch
from torch import Tensor

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle

from paa import files
from paa.cli.compose import composer
from paa.cli.reopen import reopen
from paa.cli.simple import refusing
from paa.data.images import decode
from paa.data.loader import test_batches
from paa.engine import checkpoint
from paa.structures import IGNORED, Assignment, Batch

# Okabe and Ito's colours: told apart by the colour-blind, and by their lightness in print.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#000000")


def assign(run: str, runs_dir: Path, image: int) -> tuple[np.ndarray, list[str], Batch, Assignment, Tensor]:
    """Pixels [h, w, 3], class names, batch of one, its assignment, and anchor boxes [A, 4], of image `image` of val."""
    with composer() as compose:
        experiment, record = reopen(runs_dir, run, [], compose)
    parts = experiment.parts
    detector = parts.detector(len(record.categories))
    detector.load_state_dict(checkpoint.load(experiment.identity.paths.weights))
    detector.eval()
    index = parts.source.index("val")
    index = index.subset(np.array([image % len(index)]))
    batch = next(iter(test_batches(index, parts.test_transform(detector.backbone), 1)))
    with torch.no_grad():
        predictions, anchors = parts.core(detector).predict(batch)
        found = parts.assigner(anchors, predictions, batch.targets, 1.0)
    return np.asarray(decode(index, 0)), [str(name) for _, name in record.categories], batch, found, anchors.boxes


def draw(pixels: np.ndarray, names: list[str], batch: Batch, found: Assignment, anchors: Tensor, out: Path) -> None:
    """Writes the picture."""
    targets, gt_index = batch.targets, found.gt_index[0]
    count = int(targets.valid[0].sum())
    has_scores = "candidate_scores" in found.extras
    figure, axes = plt.subplots(1, 2 if has_scores else 1, figsize=(11 if has_scores else 5.5, 5), squeeze=False)
    left = axes[0, 0]
    left.imshow(pixels, interpolation="nearest")
    factor = torch.tensor(batch.original[0].tolist()).float() / torch.tensor(batch.sizes[0].tolist()).float()
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2 * factor.flip(0)
    for g in range(count):
        colour = COLOURS[g % len(COLOURS)]
        x1, y1, x2, y2 = (targets.boxes[0, g].view(2, 2) * factor.flip(0)).flatten().tolist()
        left.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=2))
        left.text(x1, y1 - 1, names[int(targets.labels[0, g])], color="white", fontsize=8, va="bottom",
                  bbox={"facecolor": "black", "pad": 1, "linewidth": 0})  # fmt: skip
        own = centres[gt_index == g]
        left.scatter(own[:, 0], own[:, 1], s=45, color=colour, edgecolor="black", linewidth=1, zorder=3)
    for mark, which, label in ((".", gt_index == -1, "negative"), ("x", gt_index == IGNORED, "ignored")):
        rest = centres[which]
        if len(rest):
            left.scatter(
                rest[:, 0], rest[:, 1], s=14, marker=mark, color="white", linewidth=0.8, alpha=0.7, label=label
            )
    left.scatter([], [], s=45, color="grey", edgecolor="black", label="positive (colour of its ground truth)")
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, fontsize=8, facecolor="#bbbbbb")
    left.set(
        xlim=(0, pixels.shape[1]), ylim=(pixels.shape[0], 0), xticks=[], yticks=[], title="anchors after assignment"
    )
    if has_scores:
        _scores(axes[0, 1], found, count, names, targets.labels[0])
    figure.tight_layout()
    with files.replacing(out, durable=False) as file:
        figure.savefig(file, format=out.suffix.lstrip(".") or "png", dpi=110)
    plt.close(figure)


def _scores(axis: plt.Axes, found: Assignment, count: int, names: list[str], labels: Tensor) -> None:
    for g in range(count):
        colour, valid = COLOURS[g % len(COLOURS)], found.extras["candidate_valid"][0, g]
        scores = found.extras["candidate_scores"][0, g][valid].numpy()
        positive = found.extras["candidate_labels"][0, g][valid].numpy() == 1
        place = np.arange(1, len(scores) + 1)
        axis.plot(place, scores, color=colour, linewidth=1, zorder=1)
        axis.scatter(place[~positive], scores[~positive], s=18, facecolor="white", edgecolor=colour, zorder=2)
        label = f"{names[int(labels[g])]}: {int(positive.sum())} of {len(scores)}"
        axis.scatter(place[positive], scores[positive], s=40, color=colour, edgecolor="black", zorder=3, label=label)
    axis.set(xlabel="candidate, best first", ylabel="score: focal + GIoU loss", title="candidates of each ground truth")
    axis.legend(title="positives of candidates", fontsize=8, title_fontsize=8)


def main() -> None:
    """Exit codes: 0, 2 for what the caller can put right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="id of a finished run, or its first letters")
    parser.add_argument("--image", type=int, default=0, help="position of the image in val (default 0)")
    parser.add_argument("--out", type=Path, default=Path("assignment.png"), help="picture to write (png, pdf or svg)")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    args = parser.parse_args()
    with refusing("draw_assignment", 2):
        draw(*assign(args.run, args.runs_dir, args.image), args.out)
        print(args.out, file=sys.stdout)


if __name__ == "__main__":
    main()
