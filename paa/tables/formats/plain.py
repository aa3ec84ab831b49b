"""Tables as aligned text, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from paa.tables.sheet import Block, Cell, Sheet

WIDTH = 120


def write(sheets: Sequence[Sheet]) -> str:
    """All tables, one below the other; the best of a column has a star, footnotes are numbers in brackets."""
    return "\n".join(_sheet(sheet) for sheet in sheets)


def _sheet(sheet: Sheet) -> str:
    number = sheet.name.removeprefix("table")
    lines = [f"Table {number}: {sheet.title}" if number != sheet.name else sheet.title, ""]
    for block in sheet.blocks:
        if block.title:
            lines.append(block.title)
        lines += [*_block(block), ""]
    lines += _wrapped("[{}] ", sheet.notes)
    lines += _wrapped("* ", sheet.remarks, mark=False)
    lines += _wrapped("warning: ", sheet.warnings, mark=False)
    return "\n".join(lines) + "\n"


def _block(block: Block) -> list[str]:
    body = [[_text(cell) for cell in row] for row in block.rows]
    widths = [max(map(len, column)) for column in zip(block.heads, *body, strict=True)]
    rule = "  ".join("-" * width for width in widths)
    out = [_line(block.heads, widths, block.numeric), rule]
    for number, row in enumerate(body):
        if number in block.rules:
            out.append(rule)
        out.append(_line(row, widths, block.numeric))
    return out


def _text(cell: Cell) -> str:
    notes = "".join(f" [{note}]" for note in cell.notes)
    return f"{'*' if cell.best else ''}{cell.text}{notes}"


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    padded = [c.rjust(w) if right else c.ljust(w) for c, w, right in zip(cells, widths, numeric, strict=True)]
    return "  ".join(padded).rstrip()


def _wrapped(head: str, texts: Sequence[str], mark: bool = True) -> list[str]:
    out = []
    for number, text in enumerate(texts, start=1):
        first = head.format(number) if mark else head
        out += textwrap.wrap(first + text, WIDTH, subsequent_indent="    ", break_long_words=False)
    return out
