"""Draws Figures 3, 4a, 4b, 5, 6-7 and 8 of the paper from finished runs: their logs, recordings, weights and data.

python analysis/make_figures.py [--figure N ...] [--run ID ...] [--image ID ...] [--out DIR] [--format png,pdf,svg]
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from paa.cli.compose import Composer, composer
from paa.cli.messages import EXPECTED, ConfigError
from paa.cli.opened import Opened, opened
from paa.figures import architecture, assignments, detections, evolution, positives, separation
from paa.figures.choice import newest_paa, rivals
from paa.figures.names import distinct, method
from paa.figures.style import FORMATS, printed, save
from paa.runs.frame import scan

NAMES = {"4": ("4a", "4b"), "6": ("6-7",), "7": ("6-7",)}
"""Figures by a number that is not their own name."""


@dataclass
class Shown:
    """What figures are drawn of: `first`, the run of those that show one; `others` beside it, of those that compare.

    images, score, schemes: as the command line has them.
    """

    first: Opened
    others: list[Opened]
    named: bool
    images: list[int] = field(default_factory=list)
    score: float = detections.SCORE
    schemes: list[positives.Scheme] = field(default_factory=list)

    def compared(self, most: int) -> dict[str, Opened]:
        """{name: run}, at most so many; ConfigError where the command line names more."""
        runs = [self.first, *self.others]
        if self.named and len(runs) > most:
            raise ConfigError(f"--run: {len(runs)} runs; must be at most {most}, to be told apart in print")
        runs = runs[:most]
        names = distinct([method(run.record.config) for run in runs], [run.paths.train_id for run in runs])
        return dict(zip(names, runs, strict=True))


def figure_3(shown: Shown) -> Figure:
    """Scores of one ground truth, mixture and boundaries."""
    (image,) = shown.first.images(shown.images[:1], 1)
    found, name = shown.first.separation(image)
    return separation.draw(found, f"candidates of a ground truth ({name}, image {image}) at the end of {_of(shown)}")


def figure_4a(shown: Shown) -> Figure:
    """The assignment at several steps of training."""
    steps, seen = shown.first.recorded(shown.images)
    return evolution.draw(steps, seen, shown.first.record.steps)


def figure_4b(shown: Shown) -> Figure:
    """Positives of a ground truth over the steps."""
    curves = {name: run.counted() for name, run in shown.compared(len(positives.LINES)).items()}
    return positives.draw(curves, shown.schemes or positives.equal_schemes(next(iter(curves.values()))))


def figure_5(shown: Shown) -> Figure:
    """The architecture."""
    return architecture.draw(shown.first.network(), f"network of {_of(shown)}")


def figure_6_7(shown: Shown) -> Figure:
    """The assignment of several images, by several runs."""
    runs = shown.compared(assignments.RUNS)
    images = shown.first.images(shown.images, 3)
    for run in runs.values():
        run.images(images, 0)  # refuses data that lack one of them
    return assignments.draw(images, {name: [run.assigned(i)[0] for i in images] for name, run in runs.items()})


def figure_8(shown: Shown) -> Figure:
    """Detections beside ground truth."""
    images = shown.first.images(shown.images, 4)
    return detections.draw(shown.first.detected(images, shown.score), shown.score)


FIGURES: dict[str, Callable[[Shown], Figure]] = {
    "3": figure_3,
    "4a": figure_4a,
    "4b": figure_4b,
    "5": figure_5,
    "6-7": figure_6_7,
    "8": figure_8,
}


def _of(shown: Shown) -> str:
    return f"{shown.first.paths.train_id} ({method(shown.first.record.config)})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0; 1 where a figure that was asked for, or every one, could not be drawn; 2 for a wrong command."""
    options = _parser().parse_args(arguments)
    wanted = dict.fromkeys(name for word in options.figure or FIGURES for name in NAMES.get(word, (word,)))
    failed, drawn = 0, 0
    with composer() as compose:
        try:
            shown = _shown(options, compose)
        except EXPECTED as error:
            print(f"make_figures: {error}", file=sys.stderr)
            return 1
        for name in wanted:
            try:
                with printed():
                    paths = save(FIGURES[name](shown), options.out, f"figure_{name}", options.format)
            except EXPECTED as error:
                print(f"make_figures: Figure {name}: {error}", file=sys.stderr)
                failed += 1
                continue
            drawn += 1
            print(*paths, sep="\n")
    return 1 if (failed and options.figure) or not drawn else 0


def _shown(options: argparse.Namespace, compose: Composer) -> Shown:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
        if options.run:
            runs = list(
                {run.paths: run for run in (opened(options.runs_dir, one, compose) for one in options.run)}.values()
            )
        else:
            known = {record.train_id: Opened(paths, record, compose) for paths, record, _ in scan(options.runs_dir)}
            records = [run.record for run in known.values()]
            first = newest_paa(records)
            if first is None:
                raise ConfigError(f"no finished PAA run in {options.runs_dir}; python -m paa.train makes one")
            runs = [known[record.train_id] for record in (first, *rivals(first, records))]
    return Shown(runs[0], runs[1:], bool(options.run), options.image, options.score, options.scheme)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python analysis/make_figures.py", description=__doc__.splitlines()[0])
    choices = [*FIGURES, *NAMES]
    parser.add_argument(
        "--figure", nargs="+", choices=choices, metavar="N", help=f"which: {', '.join(FIGURES)} (default: all)"
    )
    parser.add_argument(
        "--run",
        nargs="+",
        metavar="ID",
        help="finished runs, or their first letters; figures of one run show the first (default: the newest PAA run,"
        " and beside it the newest of each other method with its data and steps)",
    )
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), metavar="DIR", help="(default: runs)")
    parser.add_argument("--out", type=Path, default=Path("figures"), metavar="DIR", help="(default: figures)")
    parser.add_argument(
        "--format", type=_formats, default=["png"], metavar="F", help=f"of {','.join(FORMATS)} (default: png)"
    )
    parser.add_argument(
        "--image",
        nargs="+",
        type=int,
        default=[],
        metavar="ID",
        help="images of val by their ids, of Figure 4a of those recorded (default: evenly spaced over val)",
    )
    parser.add_argument(
        "--score", type=_score, default=detections.SCORE, metavar="S", help="least of Figure 8 (default: 0.5)"
    )
    parser.add_argument(
        "--scheme",
        nargs="+",
        type=_scheme,
        default=[],
        metavar="N[:N_END]",
        help="fixed number, or linear decay, of Figure 4b (default: those with as many positives as the first run)",
    )
    return parser


def _formats(text: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    if not set(names) <= set(FORMATS):
        raise argparse.ArgumentTypeError(f"{text}: must be of {','.join(FORMATS)}")
    return names


def _score(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a number from 0 to 1")
    return value


def _scheme(text: str) -> positives.Scheme:
    if not re.fullmatch(r"\d+(:\d+)?", text) or not all(1 <= int(n) <= 1000 for n in text.split(":")):
        raise argparse.ArgumentTypeError(f"{text}: must be N or N:N_END, integers from 1 to 1000")
    n, _, n_end = text.partition(":")
    return int(n), int(n_end) if n_end else None


if __name__ == "__main__":
    sys.exit(main())
