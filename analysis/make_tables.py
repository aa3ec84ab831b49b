"""Prints what has been run: one frame of all records, a row for each training and evaluation.

python analysis/make_tables.py [--runs-dir runs] [--format text|md|csv]
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paa.evaluation.coco import NUMBERS
from paa.runs import collect
from paa.runs.columns import COLUMNS
from paa.runs.text import aligned, comma_separated, markdown

if TYPE_CHECKING:
    import pandas as pd

ALWAYS = ("assigner", "boundary", "auxiliary", "seed", "split", "voting", "AP", "AP50", "AP75", "APS", "APM", "APL")
"""Columns that are shown in any case."""

WHERE_KNOWN = ("n", "n_end", "t", "own", "converted", "iou_error", "train_id")
"""Columns that are shown where a row has a value."""

WHERE_DIFFERENT = (
    *("recipe", "compat", "data", "backbone", "topk", "scale", "lambda_score", "over"),
    *("batch_size", "lr", "steps", "sigma_t", "device"),
)
"""Columns that are shown where rows differ in them."""

DIGITS = dict.fromkeys(NUMBERS, 1) | {"iou_error": 3}
"""Digits after the point, as the field prints them."""

SORTED_BY = (
    "recipe",
    "data",
    "backbone",
    "compat",
    "split",
    "assigner",
    "boundary",
    "n",
    "t",
    "auxiliary",
    "topk",
    "scale",
)
"""Rows stand in this order, then by voting and seed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; 1 where nothing has been run."""
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
        frame = collect(options.runs_dir)
    if frame.empty:
        print(f"No finished run in {options.runs_dir}. This makes three: ", end="", file=sys.stderr)
        print("python -m paa.train -m assign.boundary=fnp,fsr,paa", file=sys.stderr)
        return 1
    frame = arrange(frame)
    if options.format == "csv":
        sys.stdout.write(comma_separated(*parts(frame)))
    else:
        write = markdown if options.format == "md" else aligned
        sys.stdout.write(write(*parts(chosen(frame)), DIGITS))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python analysis/make_tables.py", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--runs-dir", type=Path, default=Path("runs"), metavar="DIR", help="folder of runs (default: runs)"
    )
    parser.add_argument(
        "--format",
        choices=("text", "md", "csv"),
        default="text",
        help="aligned text (default) or Markdown with the columns that matter, or CSV with all columns in full",
    )
    return parser


def arrange(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows in the order of SORTED_BY, voting and seed; what is missing comes first."""
    return frame.sort_values([*SORTED_BY, "voting", "seed", "train_id", "eval_id"], na_position="first", kind="stable")


def chosen(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that say something about these rows, in the order of COLUMNS; the training's id last."""
    known = [name for name in WHERE_KNOWN if frame[name].notna().any()]
    different = [n for n in WHERE_DIFFERENT if frame[n].nunique(dropna=False) > 1]
    shown = {*ALWAYS, *known, *different}
    ordered = [column.name for column in COLUMNS if column.name in shown and column.name != "train_id"]
    return frame[[*ordered, "train_id"]]


def parts(frame: pd.DataFrame) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of `frame` in plain types, None where a value is missing."""
    columns = [
        [None if missing else value for value, missing in zip(frame[n], frame[n].isna(), strict=True)] for n in frame
    ]
    return list(frame.columns), [list(row) for row in zip(*columns, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
