"""Tables as text for a terminal, Markdown, LaTeX and HTML. CSV is written from the numbers, not from cells."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from html import escape as escape_html
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment

from paa.store.text_table import aligned
from paa.store.text_table import markdown as markdown_table
from paa.tables.sheet import Cell, Sheet

_LATEX_SIGNS = str.maketrans(
    {sign: rf"\{sign}" for sign in "{}&%$#_"}
    | {sign: f"${sign}$" for sign in "<>|"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$", "−": "$-$", "×": r"$\times$", "Δ": r"$\Delta$", "–": "--", "“": "``", "”": "''"}
    | {"[": "{[}"}  # after a line break LaTeX takes it for a length
)


def _markdown(value: str) -> str:
    return re.sub(r"([\\`*_<>\[\]~#])", r"\\\1", value)  # "|" is left to the table


class Style(NamedTuple):
    """How a format writes a cell: its text escaped and, if so marked, in the form `best` or `quiet`; then its notes.

    note  the form of one number n of a footnote of `sheet`.
    """

    escape: Callable[[str], str]
    best: str
    quiet: str
    notes: str
    note: str = "{n}"

    def cell(self, cell: Cell, sheet: Sheet) -> str:
        """Return the cell of `sheet` with its footnotes."""
        form = self.best if cell.best else self.quiet if cell.quiet else "{}"
        text = form.format(self.escape(cell.text)) if cell.text else ""
        numbers = ",".join(self.note.format(n=sheet.notes.index(note) + 1, sheet=sheet.name) for note in cell.notes)
        return text + (self.notes.format(numbers) if numbers else "")


TEXT = Style(str, "*{}", "{}", " [{}]")
MARKDOWN = Style(_markdown, "**{}**", "*{}*", "<sup>{}</sup>")
LATEX = Style(
    lambda value: value.translate(_LATEX_SIGNS), r"\textbf{{{}}}", r"\textit{{{}}}", r"\textsuperscript{{{}}}"
)
HTML = Style(escape_html, "<b>{}</b>", "<i>{}</i>", "<sup>{}</sup>", '<a href="#{sheet}-{n}">{n}</a>')


def text(sheets: Sequence[Sheet]) -> str:
    """Write aligned text; a star marks the best of a column, footnotes are numbers in brackets."""
    return "\n".join(map(_text_sheet, sheets))


def _text_sheet(sheet: Sheet) -> str:
    lines = [sheet.heading, ""]
    for block in sheet.blocks:
        rows = [[TEXT.cell(cell, sheet) for cell in row] for row in block.rows]
        table = aligned(block.heads, rows, right=block.numeric, rules={0, *block.rules})
        lines.append(f"{block.title}\n{table}" if block.title else table)
    below = [f"[{n}] {note}" for n, note in enumerate(sheet.notes, start=1)]
    below += [f"* {remark}" for remark in sheet.remarks] + [f"warning: {warning}" for warning in sheet.warnings]
    lines += [textwrap.fill(line, 120, subsequent_indent="    ", break_long_words=False) for line in below]
    return "\n".join(lines) + "\n"


def markdown(sheets: Sequence[Sheet]) -> str:
    """Write Markdown as GitHub renders it; the best of a column is bold, footnotes are raised numbers."""
    return "\n".join(map(_markdown_sheet, sheets))


def _markdown_sheet(sheet: Sheet) -> str:
    lines = [f"### {_markdown(sheet.heading)}", ""]
    for block in sheet.blocks:
        rows = []
        for number, row in enumerate(block.rows):
            rows += [[""] * len(row)] if number in block.rules else []  # Markdown has no rules between rows
            rows.append([MARKDOWN.cell(cell, sheet) for cell in row])
        table = markdown_table([*map(_markdown, block.heads)], rows, right=block.numeric)
        lines.append(f"**{_markdown(block.title)}**\n\n{table}" if block.title else table)
    lines += [f"<sup>{n}</sup> {_markdown(note)}  " for n, note in enumerate(sheet.notes, start=1)]
    lines += [f"\n{_markdown(remark)}" for remark in sheet.remarks]
    lines += [f"\n> **Warning:** {_markdown(warning)}" for warning in sheet.warnings]
    return "\n".join(lines) + "\n"


def latex(sheets: Sequence[Sheet]) -> str:
    """Write a document that compiles as it is, with booktabs; single tables can be taken from it."""
    return _filled("document.tex", sheets, LATEX)


def html(sheets: Sequence[Sheet]) -> str:
    """Write one page that needs no other file, readable on light and dark screens and in print."""
    return _filled("page.html", sheets, HTML)


def _filled(template: str, sheets: Sequence[Sheet], style: Style) -> str:
    """Fill a template in which << >> is an expression and <% %> a statement: LaTeX needs braces for itself."""
    signs = ("<%", "%>", "<<", ">>", "<#", "#>")
    environment = Environment(*signs, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters |= {"e": style.escape, "cell": style.cell, "linked": _linked}
    source = Path(__file__).with_name(template).read_text(encoding="utf-8")
    return environment.from_string(source).render(sheets=sheets)


def _linked(value: str) -> str:
    """Link arXiv numbers and GitHub pages."""
    value = re.sub(r"\barXiv (\d{4}\.\d{5})", r'<a href="https://arxiv.org/abs/\1">arXiv \1</a>', value)
    return re.sub(r"\bgithub\.com/[\w.-]+/[\w.-]+(?:/issues/\d+)?", r'<a href="https://\g<0>">\g<0></a>', value)


WRITERS: dict[str, Callable[[Sequence[Sheet]], str]] = {"text": text, "md": markdown, "latex": latex, "html": html}
"""Writers of sheets. CSV is written from the numbers: `numbers.write`, `claims_table.write_csv`."""

ENDINGS = {"text": "txt", "md": "md", "csv": "csv", "latex": "tex", "html": "html"}
"""File name endings of the formats."""
