"""Prints Tables 1 to 4 of the paper from what has been run.

    python analysis/make_tables.py [--table N] [--format md,csv,latex,html] [--runs-dir DIR] [--recipe R] [KEY=VALUE]

Rows are the files of experiments/; their runs are found by what the rows come to under the recipe (and under KEY=VALUE,
the settings that they were trained with), for every seed of which there are any. A row that has not been run, or has
not ended, says so. Without --table: every table of which a row has been run; where there is no such, all records.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paa import files
from paa.runs import collect
from paa.tables import records

if TYPE_CHECKING:
    from paa.tables.published import Published
    from paa.tables.structure import Table

TABLES = ("1", "2", "3", "4")
FORMATS = ("text", "md", "csv", "latex", "html")
PUBLISHED = Path(__file__).resolve().parent / "published.csv"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0, 1 where nothing has been run, 2 for what the caller can put right."""
    parser = _parser()
    options = parser.parse_intermixed_args(arguments)
    wrong = [
        word for word in options.overrides if "=" not in word or word.startswith(("recipe=", "runs_dir=", "seed="))
    ]
    if wrong:
        parser.error(f"{wrong[0]}: must be KEY=VALUE of the configuration, for all rows alike; see --help")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
        if options.table == ["records"]:
            return _records(options)
        return _tables(options)


def _tables(options: argparse.Namespace) -> int:
    if not options.table and not _any_run(options.runs_dir):
        return _nothing(options.runs_dir)
    # The rows are composed from conf/, which takes torch; all records are there without.
    from paa.cli.entries import found, known
    from paa.cli.simple import refusing
    from paa.tables.layout import TABLES as LAYOUTS
    from paa.tables.published import Published

    with refusing("make_tables", 2):
        published, there = Published.read(PUBLISHED), known(options.runs_dir, options.recipe)
        tables = []
        for number in options.table or TABLES:
            name = f"table{number}"
            rows = found(
                name, options.recipe, options.overrides, options.runs_dir, there, options.seeds, options.config_dir
            )
            if options.table or any(run.begun for entry in rows for run in entry.runs):
                tables.append(LAYOUTS[name](rows, published))
        begun = any(run.begun for table in tables for entry in table.entries for run in entry.runs)
        if not begun:
            _hint(options, there.overrides)
        if not tables:
            return _records(options)
        _write(options, tables, published)
    return 0


def _write(options: argparse.Namespace, tables: Sequence[Table], published: Published) -> None:
    from paa.tables.formats import ENDINGS, WRITERS
    from paa.tables.formats.long import comma_separated
    from paa.tables.measure import measure
    from paa.tables.paired import Bootstrap
    from paa.tables.sheet import sheet

    bootstrap = Bootstrap(options.resamples) if options.resamples else None
    measured = [(table, measure(table, bootstrap)) for table in tables]
    sheets = [sheet(table, parts, published) for table, parts in measured]
    texts = {
        kind: comma_separated(measured, published) if kind == "csv" else WRITERS[kind](sheets)
        for kind in options.format
    }
    if options.out is None:
        sys.stdout.write("\n".join(texts.values()))
    else:
        options.out.mkdir(parents=True, exist_ok=True)
        for kind, text in texts.items():
            path = options.out / f"{tables[0].name if len(tables) == 1 else 'tables'}.{ENDINGS[kind]}"
            files.write_text(path, text)
            print(path)
    if options.out is not None or options.format == ["csv"]:  # else they stand below each table
        for one in sheets:
            for text in one.warnings:
                print(f"warning: {one.name}: {text}", file=sys.stderr)


def _records(options: argparse.Namespace) -> int:
    strange = [kind for kind in options.format if kind not in records.FORMATS]
    if strange:
        print(f"--format {strange[0]}: all records are shown as {', '.join(records.FORMATS)}", file=sys.stderr)
        return 2
    frame = collect(options.runs_dir)
    if frame.empty:
        return _nothing(options.runs_dir)
    sys.stdout.write("\n".join(records.records(frame, kind) for kind in options.format))
    return 0


def _any_run(runs_dir: Path) -> bool:
    from paa.runs.paths import runs

    return any(paths.finished for paths in runs(runs_dir))


def _nothing(runs_dir: Path) -> int:
    print(f"No finished run in {runs_dir}. This makes three: ", end="", file=sys.stderr)
    print("python -m paa.train -m assign.boundary=fnp,fsr,paa", file=sys.stderr)
    return 1


def _hint(options: argparse.Namespace, overrides: Counter[tuple[str, ...]]) -> None:
    """Names the settings under which runs of the recipe were trained, where no row was under those that are given."""
    asked = f"recipe={options.recipe} {' '.join(options.overrides)}".strip()
    print(f"No row of a table has been run with {asked}.", file=sys.stderr)
    for words, count in overrides.most_common(3):
        if words and set(words) != set(options.overrides):
            print(f"{count} runs of this recipe were asked for with: {' '.join(words)}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python analysis/make_tables.py",
        description=__doc__,
        usage="%(prog)s [options] [KEY=VALUE ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="further settings of all rows, as python -m paa.train takes them",
    )
    parser.add_argument(
        "--table",
        type=_several(("records", *TABLES)),
        default=[],
        metavar="N",
        help="1, 2, 3, 4, or some of them (1,2); or: records, one frame of all records, a row for each training and"
        " evaluation",
    )
    parser.add_argument(
        "--format",
        type=_several(FORMATS),
        default=["text"],
        metavar="F",
        help="text (default), md, csv (a line for each number, with all digits), latex, html, or some of them (md,csv)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write a file for each format there; else to stdout")
    parser.add_argument(
        "--runs-dir", type=Path, default=Path("runs"), metavar="DIR", help="folder of runs (default: runs)"
    )
    parser.add_argument("--recipe", default="mini", metavar="R", help="recipe of the rows (default: mini)")
    parser.add_argument(
        "--seeds", type=_seeds, default=[], metavar="0,1", help="seeds (default: all that have been begun)"
    )
    parser.add_argument(
        "--resamples",
        type=int,
        default=1000,
        metavar="N",
        help="draws of the test images for intervals and p (default: 1000; 0: no test)",
    )
    parser.add_argument("--config-dir", metavar="DIR", help="groups and rows of your own, as of python -m paa.train")
    return parser


def _several(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        words = text.split(",")
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word or 'nothing'}: must be of {', '.join(known)}")
        if "records" in words and len(words) > 1:
            raise argparse.ArgumentTypeError("records: goes with no other")
        return list(dict.fromkeys(words))

    return parse


def _seeds(text: str) -> list[int]:
    try:
        return sorted({int(word) for word in text.split(",")})
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: must be whole numbers, 0,1,2") from None


if __name__ == "__main__":
    sys.exit(main())
