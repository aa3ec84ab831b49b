"""Draws what a finished run's assigner does with one image.

    python analysis/draw_assignment.py ID [--image N] [--out FILE]

Left, the image with its ground truths and, at the centres of their anchors, what each anchor became. Right, the sorted
candidate scores of each ground truth: best to the left, positives filled.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from paa import files
from paa.assignment_picture import Drawn, look, paint
from paa.cli.compose import composer
from paa.cli.reopen import reopen
from paa.cli.simple import refusing
from paa.data.images import decode
from paa.data.loader import test_batches
from paa.engine import checkpoint
from paa.structures import Assignment


def assign(run: str, runs_dir: Path, image: int) -> tuple[Drawn, Assignment]:
    """Image `image` of val and what the assigner makes of its anchors."""
    with composer() as compose:
        experiment, record = reopen(runs_dir, run, [], compose)
    parts = experiment.parts
    detector = parts.detector(len(record.categories), load_weights=False)
    detector.load_state_dict(checkpoint.load(experiment.identity.paths.weights))
    detector.eval()
    index = parts.source.index("val")
    index = index.subset(np.array([image % len(index)]))
    batch = next(iter(test_batches(index, parts.test_transform(detector.backbone), 1)))
    with torch.no_grad():
        predictions, anchors = parts.core(detector).predict(batch)
        found = parts.assigner(anchors, predictions, batch.targets, 1.0)
    names = [str(name) for _, name in record.categories]
    return Drawn.of(np.asarray(decode(index, 0)), names, batch, anchors, found), found


def draw(drawn: Drawn, found: Assignment, out: Path) -> None:
    """Writes the picture."""
    has_scores = "candidate_scores" in found.extras
    figure, axes = plt.subplots(1, 2 if has_scores else 1, figsize=(12 if has_scores else 6, 6), squeeze=False)
    paint(axes[0, 0], drawn, "anchors after assignment")
    if has_scores:
        _scores(axes[0, 1], found, drawn.names)
    figure.tight_layout()
    with files.replacing(out, durable=False) as file:
        figure.savefig(file, format=out.suffix.lstrip(".") or "png", dpi=110)
    plt.close(figure)


def _scores(axis: plt.Axes, found: Assignment, names: Sequence[str]) -> None:
    for g, name in enumerate(names):
        (colour, mark), valid = look(g), found.extras["candidate_valid"][0, g]
        scores = found.extras["candidate_scores"][0, g][valid].numpy()
        positive = found.extras["candidate_labels"][0, g][valid].numpy() == 1
        place = np.arange(1, len(scores) + 1)
        axis.plot(place, scores, color=colour, linewidth=1, zorder=1)
        axis.scatter(place[~positive], scores[~positive], s=18, facecolor="white", edgecolor=colour, zorder=2)
        label = f"{name}: {int(positive.sum())} of {len(scores)}"
        axis.scatter(
            place[positive], scores[positive], s=40, marker=mark, color=colour, edgecolor="black", zorder=3, label=label
        )
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
