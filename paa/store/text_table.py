"""Text tables: aligned columns, Markdown, CSV, or drawn on a terminal. All tables of the package are written here."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

Rows = Sequence[Sequence[Any]]

FORMATS = ("text", "md", "csv")

_NONE: Mapping[str, int] = {}


def cell(value: Any, digits: int | None = None) -> str:
    """Format one value: "" for None and NaN, yes or no, floats with `digits` decimals or 4 significant digits.

    The elements of a tuple are separated by spaces and have all digits.
    """
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if digits is None else f"{value:.{digits}f}"
    return str(value)


def aligned(
    header: Sequence[str],
    rows: Rows,
    digits: Mapping[str, int] = _NONE,
    right: Sequence[bool] | None = None,
    rules: Collection[int] = (),
) -> str:
    """Align columns by their width, two spaces apart, without trailing spaces.

    rows    a row shorter than the header ends in free text, which may extend over the columns to its right.
    digits  {column: decimals}; other floats have 4 significant digits.
    right   which columns are aligned to the right; by default those that hold only numbers.
    rules   numbers of the rows above which a line of dashes is drawn.
    """
    right = _numeric(header, rows) if right is None else right
    body = [list(header), *_cells(header, rows, digits)]
    bounded = [line if len(line) == len(header) else line[:-1] for line in body]
    widths = [max(len(line[i]) for line in bounded if i < len(line)) for i in range(len(header))]
    out = []
    for number, line in enumerate(body, start=-1):
        if number in rules:
            out.append("  ".join("-" * width for width in widths))
        padded = [text.rjust(widths[i]) if right[i] else text.ljust(widths[i]) for i, text in enumerate(line)]
        out.append("  ".join(padded).rstrip())
    return "\n".join(out) + "\n"


def markdown(
    header: Sequence[str], rows: Rows, digits: Mapping[str, int] = _NONE, right: Sequence[bool] | None = None
) -> str:
    """Write a Markdown table; `digits` and `right` as in `aligned`. Only "|" is escaped."""
    right = _numeric(header, rows) if right is None else right
    lines = [_piped(header), ["--:" if r else "---" for r in right], *map(_piped, _cells(header, rows, digits))]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def comma_separated(header: Sequence[str], rows: Rows) -> str:
    """Write CSV with all digits of every number."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(
        [value if isinstance(value, float) and value == value else cell(value) for value in row] for row in rows
    )
    return out.getvalue()


def written(kind: str, header: Sequence[str], rows: Rows, digits: Mapping[str, int] = _NONE, title: str = "") -> str:
    """Write the table in one of FORMATS, below `title`; CSV has all digits and no title."""
    if kind == "csv":
        return comma_separated(header, rows)
    table = (markdown if kind == "md" else aligned)(header, rows, digits)
    return f"{title}\n\n{table}" if title else table


def show(header: Sequence[str], rows: Rows, digits: Mapping[str, int] = _NONE) -> None:
    """Print the table: with rich on a terminal, else as `aligned` text, which other programs can search."""
    if not sys.stdout.isatty():
        sys.stdout.write(aligned(header, rows, digits))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, numeric in zip(header, _numeric(header, rows), strict=True):
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in _cells(header, rows, digits):
        table.add_row(*map(Text, row))
    Console().print(table)


def _cells(header: Sequence[str], rows: Rows, digits: Mapping[str, int]) -> list[list[str]]:
    return [[cell(value, digits.get(name)) for name, value in zip(header, row, strict=False)] for row in rows]


def _numeric(header: Sequence[str], rows: Rows) -> list[bool]:
    """Whether each column holds only numbers; free text at the end of a short row does not count."""
    full = [row for row in rows if len(row) == len(header)]
    present = [[row[i] for row in full if cell(row[i])] for i in range(len(header))]
    return [bool(p) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in p) for p in present]


def _piped(texts: Sequence[str]) -> list[str]:
    return [text.replace("|", "\\|") for text in texts]
