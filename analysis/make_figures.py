"""Draw Figures 3, 4a, 4b, 5, 6-7 and 8 of the paper from finished runs: their logs, recordings, weights and data.

python analysis/make_figures.py [--figure N ...] [--run ID ...] [--image ID ...] [--out DIR] [--format png,pdf,svg]
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from paa.commands.figures import FIGURES, OTHER_NAMES, Shown, choose
from paa.commands.options import warnings_on_stderr
from paa.config.compose import Composer
from paa.config.errors import USER_ERRORS
from paa.config.user_code import add_cwd_to_path
from paa.figures.detections import SCORE
from paa.figures.positives import Scheme
from paa.figures.style import FORMATS, printed, save


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
    parser.add_argument("--score", type=_score, default=SCORE, metavar="S", help="least of Figure 8 (default: 0.5)")
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


def _scheme(text: str) -> Scheme:
    if not re.fullmatch(r"\d+(:\d+)?", text) or not all(1 <= int(n) <= 1000 for n in text.split(":")):
        raise argparse.ArgumentTypeError(f"{text}: must be N or N:N_END, integers from 1 to 1000")
    n, _, n_end = text.partition(":")
    return int(n), int(n_end) if n_end else None


if __name__ == "__main__":
    sys.exit(main())
