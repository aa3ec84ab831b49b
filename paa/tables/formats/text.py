"""Tables as aligned text, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from paa.store.text_table import aligned
from paa.tables.sheet import Block, Sheet


def write(sheets: Sequence[Sheet]) -> str:
    """Write all tables, one below the other; a star marks the best of a column, footnotes are numbers in brackets."""
    return "\n".join(_sheet(sheet) for sheet in sheets)


def _sheet(sheet: Sheet) -> str:
    title = f"Table {sheet.number}: {sheet.title}" if sheet.number else sheet.title
    below = [f"[{n}] {note}" for n, note in enumerate(sheet.notes, start=1)]
    below += [f"* {remark}" for remark in sheet.remarks] + [f"warning: {warning}" for warning in sheet.warnings]
    wrapped = [textwrap.fill(line, 120, subsequent_indent="    ", break_long_words=False) for line in below]
    return "\n".join([title, "", *map(_block, sheet.blocks), *wrapped]) + "\n"


def _block(block: Block) -> str:
    rows = [[cell.written(str, "*{}", "{}", " [{}]") for cell in row] for row in block.rows]
    title = f"{block.title}\n" if block.title else ""
    return title + aligned(block.heads, rows, right=block.numeric, rules={0, *block.rules})
