"""Tables as GitHub renders Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from paa.tables.sheet import Block, Cell, Sheet


def write(sheets: Sequence[Sheet]) -> str:
    """All tables, one below the other; the best of a column is bold, footnotes are raised numbers."""
    return "\n".join(_sheet(sheet) for sheet in sheets)


def _sheet(sheet: Sheet) -> str:
    number = sheet.name.removeprefix("table")
    lines = [f"### {f'Table {number}. ' if number != sheet.name else ''}{escape(sheet.title)}", ""]
    for block in sheet.blocks:
        if block.title:
            lines += [f"**{escape(block.title)}**", ""]
        lines += [*_block(block), ""]
    for position, note in enumerate(sheet.notes, start=1):
        lines += [f"<sup>{position}</sup> {escape(note)}  "]
    for remark in sheet.remarks:
        lines += ["", escape(remark)]
    for warning in sheet.warnings:
        lines += ["", f"> **Warning:** {escape(warning)}"]
    return "\n".join(lines) + "\n"


def _block(block: Block) -> list[str]:
    out = [_row([escape(head) for head in block.heads]), _row(["--:" if n else ":--" for n in block.numeric])]
    for number, row in enumerate(block.rows):
        if number in block.rules:  # Markdown has no rules between rows
            out.append(_row([""] * len(row)))
        out.append(_row([_cell(cell) for cell in row]))
    return out


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if text and cell.best:
        text = f"**{text}**"
    elif text and cell.quiet:
        text = f"*{text}*"
    notes = f"<sup>{','.join(map(str, cell.notes))}</sup>" if cell.notes else ""
    return f"{text}{notes}"


def escape(text: str) -> str:
    """Text that Markdown shows as it is, also in a cell of a table."""
    return re.sub(r"([\\`*_|<>\[\]~#])", r"\\\1", text)
