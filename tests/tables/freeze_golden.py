"""Golden files: `python tests/tables/freeze_golden.py` writes them again. Review the difference before you commit it.

sheet.*     a small table with every kind of cell, in each format.
tables.txt  Tables 1, 2 and 4 and the claims of the runs in made.py; table1.csv, the numbers of the first.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from made import made

from paa.tables import numbers
from paa.tables.bootstrap import Bootstrap
from paa.tables.claims import findings
from paa.tables.claims_table import claims_sheet, write_csv
from paa.tables.formats import ENDINGS, WRITERS
from paa.tables.layout import GROUPS, LAYOUTS
from paa.tables.model import tested
from paa.tables.published import Published
from paa.tables.sheet import Block, Cell, Sheet, sheet

GOLDEN = Path(__file__).resolve().parent / "golden"
PUBLISHED = Path(__file__).resolve().parents[2] / "analysis" / "published.csv"

NOTES = ("arXiv 2007.08103 sec 4.2; github.com/kkhoot/PAA/issues/2 (2020)", "seed 1: interrupted at step 12 of 30")
SHEET = Sheet(
    "table1",
    "Signs & <kinds> of cells",
    (
        Block(
            "Left: 50 % of a|b_c",
            ("row", "AP", "95 %"),
            (
                (Cell("FSR (> 0.3)"), Cell("39.8 ± 0.2", NOTES, best=True), Cell("[−0.1, +0.2]")),
                (Cell(r"\{x} $1 #2 ~ ^ `y` *z*"), Cell("not run", quiet=True), Cell("–", NOTES[1:], quiet=True)),
            ),
            (False, True, True),
            frozenset({1}),
        ),
        Block("", ("empty", "Δ × “q”"), (), (False, True)),
    ),
    ("Ours: recipe mini.",),
    ("different commits: a in 1 runs; b in 1",),
)


def written(folder: Path) -> dict[str, str]:
    """{file name: text} of all golden files, from runs made below `folder`; and claims.csv, which has none."""
    runs, published, bootstrap = made(folder), Published.read(PUBLISHED), Bootstrap(200)
    tables = [
        tested(LAYOUTS[name](runs.entries(*GROUPS[name]), published), bootstrap)
        for name in ("table1", "table2", "table4")
    ]
    groups = ("table1", "table2", "table2_right", "table4")
    found = findings({group: runs.entries(group) for group in groups}, bootstrap)
    sheets = [*map(sheet, tables), claims_sheet(found, runs.entries(*groups))]
    out = {f"sheet.{ENDINGS[kind]}": write([SHEET]) for kind, write in WRITERS.items()}
    texts = {"tables.txt": WRITERS["text"](sheets), "table1.csv": numbers.write(tables[:1])}
    return out | texts | {"claims.csv": write_csv(found)}


if __name__ == "__main__":
    for old in GOLDEN.iterdir():
        old.unlink()
    with tempfile.TemporaryDirectory() as empty:
        for name, text in written(Path(empty)).items():
            if name != "claims.csv":
                (GOLDEN / name).write_text(text, encoding="utf-8")
