"""Tables as GitHub renders Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from paa.store import text_table
from paa.tables.sheet import Block, Sheet


def write(sheets: Sequence[Sheet]) -> str:
    """Write all tables, one below the other; the best of a column is bold, footnotes are raised numbers."""
    return "\n".join(_sheet(sheet) for sheet in sheets)


def _sheet(sheet: Sheet) -> str:
    lines = [f"### {f'Table {sheet.number}. ' if sheet.number else ''}{escape(sheet.title)}", ""]
    lines += map(_block, sheet.blocks)
    lines += [f"<sup>{n}</sup> {escape(note)}  " for n, note in enumerate(sheet.notes, start=1)]
    lines += [f"\n{escape(remark)}" for remark in sheet.remarks]
    lines += [f"\n> **Warning:** {escape(warning)}" for warning in sheet.warnings]
    return "\n".join(lines) + "\n"


def _block(block: Block) -> str:
    rows = []
    for number, row in enumerate(block.rows):
        if number in block.rules:  # Markdown has no rules between rows
            rows.append([""] * len(row))
        rows.append([cell.written(escape, "**{}**", "*{}*", "<sup>{}</sup>") for cell in row])
    title = f"**{escape(block.title)}**\n\n" if block.title else ""
    return title + text_table.markdown([escape(head) for head in block.heads], rows, right=block.numeric)


def escape(text: str) -> str:
    """Escape what Markdown would interpret; "|" is left to the table."""
    return re.sub(r"([\\`*_<>\[\]~#])", r"\\\1", text)
