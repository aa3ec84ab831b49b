"""Tables as one HTML page that needs no other file, readable on light and dark screens and in print."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from paa.tables.sheet import Block, Sheet

_PAGE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))


def write(sheets: Sequence[Sheet]) -> str:
    """Write one page of all tables."""
    title = ", ".join(f"Table {sheet.number}" if sheet.number else sheet.title for sheet in sheets)
    return _PAGE.substitute(title=escape(title), body="".join(map(_sheet, sheets)))


def _sheet(sheet: Sheet) -> str:
    title = f"Table {sheet.number}. {sheet.title}" if sheet.number else sheet.title
    out = [f'<section id="{sheet.name}">', f"<h2>{escape(title)}</h2>", '<div class="parts">']
    out += [_block(block, sheet.name) for block in sheet.blocks]
    notes = [f'<li id="{sheet.name}-{n}">{_linked(note)}</li>' for n, note in enumerate(sheet.notes, start=1)]
    out += ["</div>", *(["<ol>", *notes, "</ol>"] if notes else [])]
    out += [f"<p>{escape(remark)}</p>" for remark in sheet.remarks]
    out += [f'<p class="warning">Warning: {escape(warning)}</p>' for warning in sheet.warnings]
    return "\n".join([*out, "</section>", ""])


def _block(block: Block, name: str) -> str:
    columns = [' class="n"' if numeric else "" for numeric in block.numeric]
    heads = "".join(f"<th{kind}>{escape(head)}</th>" for head, kind in zip(block.heads, columns, strict=True))
    caption = f"<caption>{escape(block.title)}</caption>" if block.title else ""
    out = [f'<div class="part"><table>{caption}<thead><tr>{heads}</tr></thead>', "<tbody>"]
    for number, row in enumerate(block.rows):
        cells = [cell.written(escape, "<b>{}</b>", "<i>{}</i>", "<sup>{}</sup>") for cell in row]
        tag = '<tr class="rule">' if number in block.rules else "<tr>"
        data = "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(cells, columns, strict=True))
        # each footnote is a link
        linked = re.sub(
            r"(?<=<sup>)[\d,]+", lambda m: re.sub(r"\d+", rf'<a href="#{name}-\g<0>">\g<0></a>', m[0]), data
        )
        out.append(f"{tag}{linked}</tr>")
    return "\n".join([*out, "</tbody></table></div>"])


def _linked(text: str) -> str:
    """Escape text, and link arXiv numbers and GitHub pages."""
    text = re.sub(r"\barXiv (\d{4}\.\d{5})", r'<a href="https://arxiv.org/abs/\1">arXiv \1</a>', escape(text))
    return re.sub(r"\bgithub\.com/[\w.-]+/[\w.-]+(?:/issues/\d+)?", r'<a href="https://\g<0>">\g<0></a>', text)
