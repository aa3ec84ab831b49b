"""Draw Figures 3, 4a, 4b, 5, 6-7 and 8 of the paper from finished runs: their logs, recordings, weights and data.

python analysis/make_figures.py [--figure N ...] [--run ID ...] [--image ID ...] [--out DIR] [--format png,pdf,svg]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from paa import checks
from paa.commands.options import warnings_on_stderr
from paa.commands.table_options import read_as, several
from paa.config.compose import Composer
from paa.config.errors import USER_ERRORS, ConfigError
from paa.config.user_code import add_cwd_to_path
from paa.experiment.finished_run import Opened, opened
from paa.figures import architecture, assignments, detections, positives, separation
from paa.figures.runs import distinct, method, newest_paa, rivals
from paa.figures.style import FORMATS, printed, save
from paa.store.frame import scan


@dataclass(frozen=True)
class Shown:
    """The runs and images that figures show.

    runs     the first is that of figures which show one; the others are compared with it.
    named    whether the command line names the runs.
    images   ids that the command line names, or none.
    score    least score of Figure 8. schemes: of Figure 4b; none gives those with as many positives as the first run.
    """

    runs: Sequence[Opened]
    named: bool = False
    images: Sequence[int] = ()
    score: float = detections.SCORE
    schemes: Sequence[positives.Scheme] = ()

    @property
    def first(self) -> Opened:
        """The run of figures that show a single one."""
        return self.runs[0]

    @property
    def title(self) -> str:
        """The title of that run: "t9b2ecec567 (PAA)"."""
        return f"{self.first.paths.train_id} ({method(self.first.record.config)})"

    def compared(self, most: int) -> dict[str, Opened]:
        """Return {name: run}, at most `most`; ConfigError if the command line names more."""
        if self.named and len(self.runs) > most:
            raise ConfigError(f"--run: {len(self.runs)} runs; must be at most {most}, to be told apart in print")
        runs = self.runs[:most]
        names = distinct([method(run.record.config) for run in runs], [run.paths.train_id for run in runs])
        return dict(zip(names, runs, strict=True))


def choose(runs_dir: Path, prefixes: Sequence[str], compose: Composer) -> list[Opened]:
    """Return the runs that `prefixes` name; without any, the newest PAA run and its rivals (`paa.figures.runs`).

    RunNotFound, BadRecord, ConfigError where there is none. Warns of records that cannot be read.
    """
    if prefixes:
        return list({run.paths: run for run in (opened(runs_dir, one, compose) for one in prefixes)}.values())
    known = {record.train_id: Opened(paths, record, compose) for paths, record, _ in scan(runs_dir)}
    records = [run.record for run in known.values()]
    first = newest_paa(records)
    if first is None:
        raise ConfigError(f"{runs_dir}: no finished PAA run; python -m paa.train makes one, or --run names others")
    return [known[record.train_id] for record in (first, *rivals(first, records))]


def figure_3(shown: Shown) -> Figure:
    """Draw the scores of one ground truth, the mixture and the boundaries."""
    (image,) = shown.first.images(shown.images[:1], 1)
    found, name = shown.first.separation(image)
    return separation.draw(found, f"candidates of a ground truth ({name}, image {image}) at the end of {shown.title}")


def figure_4a(shown: Shown) -> Figure:
    """Draw the assignment at several steps of training."""
    steps, seen = shown.first.recorded(shown.images)
    return assignments.draw_steps(steps, seen, shown.first.record.steps)


def figure_4b(shown: Shown) -> Figure:
    """Draw the positives per ground truth over the steps."""
    if len(shown.schemes) > len(positives.DASHES):
        problem = f"{len(shown.schemes)} schemes; must be at most {len(positives.DASHES)}, to be told apart in print"
        raise ConfigError(f"--scheme: {problem}")
    curves = {name: run.counted() for name, run in shown.compared(len(positives.LINES)).items()}
    return positives.draw(curves, shown.schemes or positives.equal_schemes(next(iter(curves.values()))))


def figure_5(shown: Shown) -> Figure:
    """Draw the architecture."""
    return architecture.draw(shown.first.network(), f"network of {shown.title}")


def figure_6_7(shown: Shown) -> Figure:
    """Draw the assignments of several runs on several images."""
    runs = shown.compared(assignments.RUNS)
    images = shown.first.images(shown.images, 3)
    for run in runs.values():
        run.images(images, 0)  # refuses data that lack one of them
    return assignments.draw_runs(images, {name: [run.assigned(i)[0] for i in images] for name, run in runs.items()})


def figure_8(shown: Shown) -> Figure:
    """Draw detections beside ground truth."""
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

OTHER_NAMES = {"4": ("4a", "4b"), "6": ("6-7",), "7": ("6-7",)}
"""Numbers of the paper that stand for other names of figures."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, 1 if a requested figure or all of them could not be drawn, 2 for a wrong command."""
    options = _parser().parse_args(arguments)
    wanted = dict.fromkeys(name for word in options.figure or FIGURES for name in OTHER_NAMES.get(word, (word,)))
    failed = 0
    add_cwd_to_path()
    compose = Composer()
    try:
        with warnings_on_stderr():
            runs = choose(options.runs_dir, options.run or [], compose)
    except USER_ERRORS as error:
        print(f"make_figures: {error}", file=sys.stderr)
        return 1
    shown = Shown(runs, bool(options.run), options.image, options.score, options.scheme)
    for name in wanted:
        try:
            with printed():
                paths = save(FIGURES[name](shown), options.out, f"figure_{name}", options.format)
        except USER_ERRORS as error:
            print(f"make_figures: Figure {name}: {error}", file=sys.stderr)
            failed += 1
        else:
            print(*paths, sep="\n")
    return int(failed > 0 if options.figure else failed == len(wanted))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choices = [*FIGURES, *OTHER_NAMES]
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
        "--format", type=several(FORMATS), default=["png"], metavar="F", help=f"of {','.join(FORMATS)} (default: png)"
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
        "--score",
        type=read_as(lambda text: checks.number("", float(text), low=0, high=1), "a number from 0 to 1"),
        default=detections.SCORE,
        metavar="S",
        help="least of Figure 8 (default: 0.5)",
    )
    parser.add_argument(
        "--scheme",
        nargs="+",
        type=read_as(_scheme, "N or N:N_END, integers from 1 to 1000"),
        default=[],
        metavar="N[:N_END]",
        help="fixed number, or linear decay, of Figure 4b (default: those with as many positives as the first run)",
    )
    return parser


def _scheme(text: str) -> positives.Scheme:
    n, *n_end = (checks.integer("", int(number), low=1, high=1000) for number in text.split(":", 1))
    return n, n_end[0] if n_end else None


if __name__ == "__main__":
    sys.exit(main())
