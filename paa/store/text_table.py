"""Tables as text: aligned, Markdown, CSV, or drawn on a terminal."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Sequence[Any]]
_NONE: Mapping[str, int] = {}


def cell(value: Any, digits: int | None = None) -> str:
    """`value` as a table shows it: nothing for None, yes and no, floats with `digits` or as many as matter."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if digits is None else f"{value:.{digits}f}"
    return str(value)


def aligned(header: Sequence[str], rows: Rows, digits: Mapping[str, int] = _NONE) -> str:
    """Columns by width, numbers to the right; two spaces between, none at line ends.

    digits  {column: digits after the point}; of others, as many as matter.
    """
    body = _cells(header, rows, digits)
    widths = [max(len(line[i]) for line in [list(header), *body]) for i in range(len(header))]
    right = [_numeric([row[i] for row in rows]) for i in range(len(header))]
    lines = []
    for line in [list(header), *body]:
        cells = [t.rjust(w) if r else t.ljust(w) for t, w, r in zip(line, widths, right, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def markdown(header: Sequence[str], rows: Rows, digits: Mapping[str, int] = _NONE) -> str:
    """A Markdown table; digits as in `aligned`."""
    right = [_numeric([row[i] for row in rows]) for i in range(len(header))]
    body = [[text.replace("|", "\\|") for text in row] for row in _cells(header, rows, digits)]
    lines = [list(header), ["--:" if r else "---" for r in right], *body]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def comma_separated(header: Sequence[str], rows: Rows) -> str:
    """CSV, numbers in full."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow(["" if cell(v) == "" else cell(v) if isinstance(v, bool) else v for v in row])
    return out.getvalue()


FORMATS = ("text", "md", "csv")


def written(kind: str, header: Sequence[str], rows: Rows, digits: Mapping[str, int] = _NONE, title: str = "") -> str:
    """The table in one of FORMATS, below `title`; CSV is for programs, and has numbers in full and no title."""
    if kind == "csv":
        return comma_separated(header, rows)
    table = (markdown if kind == "md" else aligned)(header, rows, digits)
    return f"{title}\n\n{table}" if title else table


def show(header: Sequence[str], rows: Rows) -> None:
    """Prints the table: drawn with rich on a terminal, aligned text elsewhere, so that it can be cut and searched."""
    if not sys.stdout.isatty():
        sys.stdout.write(aligned(header, rows))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if _numeric([row[i] for row in rows]) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    Console().print(table)


def _cells(header: Sequence[str], rows: Rows, digits: Mapping[str, int]) -> list[list[str]]:
    return [[cell(value, digits.get(name)) for name, value in zip(header, row, strict=True)] for row in rows]


def _numeric(values: Sequence[Any]) -> bool:
    present = [v for v in values if cell(v)]
    return bool(present) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in present)
