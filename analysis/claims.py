"""Judge each of the paper's nine claims by our runs: supported, contradicted, or not enough data.

    python analysis/claims.py [--format md,csv,latex,html] [--runs-dir DIR] [--recipe R] [KEY=VALUE]

The runs are those of the rows of Tables 1, 2 and 4, found as analysis/make_tables.py finds them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from paa.commands.options import warnings_on_stderr
from paa.commands.table_options import deliver, nothing_run, parsed, parser, rows_of_tables
from paa.store.paths import runs
from paa.tables.bootstrap import Bootstrap
from paa.tables.claims import findings
from paa.tables.claims_table import claims_sheet, write_csv
from paa.tables.formats import WRITERS

GROUPS = ("table1", "table2", "table2_right", "table4")


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, 1 if there are no runs, 2 for a wrong command."""
    options = parsed(parser("claims", __doc__), arguments)
    with warnings_on_stderr():
        if not any(paths.finished for paths in runs(options.runs_dir)):
            return nothing_run(options.runs_dir)
        entries = rows_of_tables(options, {"claims": GROUPS}, "claims").get("claims", [])
        by_group = {group: [e for e in entries if e.table == group] for group in GROUPS}
        every = findings(by_group, Bootstrap(options.resamples))
        sheets = [claims_sheet(every, entries)]
        texts = {kind: write_csv(every) if kind == "csv" else WRITERS[kind](sheets) for kind in options.format}
        deliver(texts, "claims", sheets, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
