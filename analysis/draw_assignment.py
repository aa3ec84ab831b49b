"""Draw what a finished run's assigner does with one image.

    python analysis/draw_assignment.py ID [--image N] [--out FILE]

Left, the image with its ground truths and, at the centers of their anchors, what each anchor became. Right, the sorted
candidate scores of each ground truth: best to the left, positives filled.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from paa.commands.options import refusing
from paa.config.compose import Composer
from paa.config.user_code import add_cwd_to_path
from paa.drawing.assignment import Drawn, counted_handles, paint, style_of
from paa.experiment.finished_run import opened
from paa.figures.style import PAGE, page, printed, save
from paa.structures import Assignment


def draw(drawn: Drawn, found: Assignment, out: Path) -> None:
    """Write the picture."""
    has_scores = "candidate_scores" in found.extras
    with printed():
        figure = page(PAGE, 3.2 if has_scores else PAGE)
        axes = figure.subplots(1, 2 if has_scores else 1, squeeze=False)
        paint(axes[0, 0], drawn, "anchors after assignment", PAGE / axes.shape[1])
        if has_scores:
            _scores(axes[0, 1], found, drawn.names)
            axes[0, 1].set_box_aspect(drawn.pixels.shape[0] / drawn.pixels.shape[1])
        figure.legend(handles=counted_handles(drawn), loc="outside lower center", ncols=3, facecolor="#bbbbbb")
    save(figure, out.parent, out.stem, [out.suffix.lstrip(".") or "png"])


def _scores(axis: Axes, found: Assignment, names: Sequence[str]) -> None:
    for g, name in enumerate(names):
        (color, mark), valid = style_of(g), found.extras["candidate_valid"][0, g]
        scores = found.extras["candidate_scores"][0, g][valid].numpy()
        positive = found.extras["candidate_labels"][0, g][valid].numpy() == 1
        place = np.arange(1, len(scores) + 1)
        style = {"marker": mark, "edgecolor": "black", "linewidth": 0.4}
        axis.plot(place, scores, color=color, linewidth=1, zorder=1)
        axis.scatter(place[~positive], scores[~positive], s=10, facecolor="white", **style, zorder=2)
        label = f"{name}: {int(positive.sum())} of {len(scores)}"
        axis.scatter(place[positive], scores[positive], s=22, color=color, **style, zorder=3, label=label)
    axis.set(xlabel="candidates, best first", ylabel="focal + GIoU loss (lower is better)")
    axis.set_title("candidate scores (filled: positive)")
    axis.legend(title="positives of\ncandidates", title_fontsize=6.5, loc="upper left", bbox_to_anchor=(1.01, 1.0))


def main() -> None:
    """Draw one image; exit code 2 for a wrong command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="ID of a finished run, or a unique prefix")
    parser.add_argument("--image", type=int, default=0, help="position of the image in val (default 0)")
    parser.add_argument("--out", type=Path, default=Path("assignment.png"), help="picture to write (png, pdf or svg)")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), metavar="DIR", help="folder of runs (runs)")
    args = parser.parse_args()
    add_cwd_to_path()
    with refusing("draw_assignment", 2):
        compose = Composer()
        run = opened(args.runs_dir, args.run, compose)
        draw(*run.assigned(int(run.index.image_ids[args.image % len(run.index)])), args.out)
        print(args.out, file=sys.stdout)


if __name__ == "__main__":
    main()
