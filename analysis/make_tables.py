"""Print Tables 1 to 4 of the paper from existing runs.

    python analysis/make_tables.py [--table N] [--format md,csv,latex,html] [--runs-dir DIR] [--recipe R] [KEY=VALUE]

The rows are the files in experiments/. Their runs are found by composing each row under the recipe (and KEY=VALUE, the
settings with which they were trained), for every seed that was started. Rows without a finished run show their status.
Without --table, every table with a started row is printed; if there is none, all records are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from paa.commands.options import warnings_on_stderr
from paa.commands.table_options import deliver, nothing_run, parsed, parser, rows_of_tables, several, started
from paa.runs import collect
from paa.store.paths import runs
from paa.store.text_table import FORMATS
from paa.tables import numbers, records
from paa.tables.bootstrap import Bootstrap
from paa.tables.formats import WRITERS
from paa.tables.layout import GROUPS, LAYOUTS
from paa.tables.model import Table, tested
from paa.tables.published import Published
from paa.tables.sheet import sheet

TABLES = ("1", "2", "3", "4")
PUBLISHED = Path(__file__).resolve().parent / "published.csv"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, 1 if there are no runs, 2 for a wrong command."""
    commands = parser("make_tables", __doc__)
    which = "1, 2, 3, 4 or some (1,2); or records: all records, a row for each evaluation"
    commands.add_argument("--table", type=several((*TABLES, "records"), "records"), default=[], metavar="N", help=which)
    options = parsed(commands, arguments)
    with warnings_on_stderr():
        if options.table == ["records"]:
            return _records(options)
        if not options.table and not any(paths.finished for paths in runs(options.runs_dir)):
            return nothing_run(options.runs_dir)
        names = [f"table{number}" for number in options.table or TABLES]
        found = rows_of_tables(options, {name: GROUPS[name] for name in names}, "make_tables", bool(options.table))
        published = Published.read(PUBLISHED)
        tables = [LAYOUTS[name](rows, published) for name, rows in found.items() if options.table or started(rows)]
        if not tables:
            return _records(options)
        _write(options, tables)
    return 0


def _write(options: argparse.Namespace, tables: Sequence[Table]) -> None:
    bootstrap = Bootstrap(options.resamples)
    compared = [tested(table, bootstrap) for table in tables]
    sheets = [sheet(table) for table in compared]
    texts = {kind: numbers.write(compared) if kind == "csv" else WRITERS[kind](sheets) for kind in options.format}
    deliver(texts, tables[0].name if len(tables) == 1 else "tables", sheets, options.out)


def _records(options: argparse.Namespace) -> int:
    strange = [kind for kind in options.format if kind not in FORMATS]
    if strange:
        print(f"--format {strange[0]}: all records are there as {', '.join(FORMATS)}", file=sys.stderr)
        return 2
    frame = collect(options.runs_dir)
    if frame.empty:
        return nothing_run(options.runs_dir)
    deliver({kind: records.records(frame, kind) for kind in options.format}, "records", [], options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
