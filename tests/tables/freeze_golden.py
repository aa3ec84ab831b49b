"""The tables and claims of the made runs in every format. `python tests/tables/freeze_golden.py` writes golden/ anew.

Look at what changed before you commit it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from made import made

from paa.tables.bootstrap import Bootstrap
from paa.tables.claims import findings
from paa.tables.claims_table import claims_csv, claims_sheet
from paa.tables.formats import ENDINGS, WRITERS
from paa.tables.formats.long import comma_separated
from paa.tables.layout import GROUPS, LAYOUTS
from paa.tables.measure import measure
from paa.tables.published import Published
from paa.tables.sheet import sheet

GOLDEN = Path(__file__).resolve().parent / "golden"
PUBLISHED = Path(__file__).resolve().parents[2] / "analysis" / "published.csv"
RESAMPLES = 200


def written(folder: Path) -> dict[str, str]:
    """{file name: text} of all golden files, from runs made below `folder`."""
    runs, published, bootstrap = made(folder), Published.read(PUBLISHED), Bootstrap(RESAMPLES)
    tables = [LAYOUTS[name](runs.entries(*groups), published) for name, groups in GROUPS.items()]
    measured = [(table, measure(table, bootstrap)) for table in tables]
    sheets = [sheet(table, parts, published) for table, parts in measured]
    out = {f"tables.{ENDINGS[kind]}": write(sheets) for kind, write in WRITERS.items()}
    out["tables.csv"] = comma_separated(measured, published)
    groups = ("table1", "table2", "table2_right", "table4")
    found = findings({group: runs.entries(group) for group in groups}, folder, bootstrap)
    claims = [claims_sheet(found, runs.entries(*groups))]
    out |= {f"claims.{ENDINGS[kind]}": write(claims) for kind, write in WRITERS.items()}
    return out | {"claims.csv": claims_csv(found)}


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as empty:
        for name, text in written(Path(empty)).items():
            (GOLDEN / name).write_text(text, encoding="utf-8")
