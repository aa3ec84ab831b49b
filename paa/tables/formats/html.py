"""Tables as one HTML page that needs nothing else: readable on a light and on a dark screen, and in print."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from paa.tables.sheet import Block, Cell, Sheet

_STYLE = """\
:root { color-scheme: light dark; --page: #ffffff; --ink: #1c1c1c; --soft: #5c5c5c; --rule: #c9c9c9; --mark: #e8f0fb;
  --warn: #8a4b00; }
@media (prefers-color-scheme: dark) {
  :root { --page: #16181b; --ink: #e6e6e6; --soft: #a6a6a6; --rule: #43474d; --mark: #21324a; --warn: #f0b060; }
}
body { margin: 2rem auto; padding: 0 1.5rem; max-width: 88rem; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h2 { margin: 2.5rem 0 0.75rem; font-size: 1.2rem; }
.parts { display: flex; flex-wrap: wrap; gap: 1.5rem 2.5rem; align-items: flex-start; }
.part { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { padding-bottom: 0.35rem; text-align: left; font-weight: 600; }
th, td { padding: 0.22rem 0.65rem; text-align: left; white-space: nowrap; }
th.n, td.n { text-align: right; }
thead th { border-top: 2px solid var(--ink); border-bottom: 1px solid var(--ink); font-weight: 600; }
tbody tr:last-child td { border-bottom: 2px solid var(--ink); }
tr.rule td { border-top: 1px solid var(--rule); }
td.best { background: var(--mark); font-weight: 700; }
td.quiet { color: var(--soft); font-style: italic; }
sup { line-height: 0; }
sup a { color: inherit; text-decoration: none; }
ol, p { max-width: 75rem; color: var(--soft); font-size: 0.87rem; }
ol { padding-left: 1.6rem; }
li { overflow-wrap: anywhere; }
p.warning { color: var(--warn); font-weight: 600; }
"""


def write(sheets: Sequence[Sheet]) -> str:
    """One page of all tables."""
    head = f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_title(sheets)}</title>\n'
    head += '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    body = "".join(_sheet(sheet) for sheet in sheets)
    return f"{head}<style>\n{_STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"


def _title(sheets: Sequence[Sheet]) -> str:
    return ", ".join(escape(_name(sheet) or sheet.title) for sheet in sheets)


def _name(sheet: Sheet) -> str:
    return f"Table {sheet.name.removeprefix('table')}" if sheet.name.startswith("table") else ""


def _sheet(sheet: Sheet) -> str:
    name = _name(sheet)
    out = [f'<section id="{sheet.name}">', f"<h2>{f'{name}. ' if name else ''}{escape(sheet.title)}</h2>"]
    out.append('<div class="parts">')
    for block in sheet.blocks:
        out += ['<div class="part">', *_block(block, sheet.name), "</div>"]
    out.append("</div>")
    if sheet.notes:
        out.append("<ol>")
        out += [f'<li id="{sheet.name}-{n}">{_linked(note)}</li>' for n, note in enumerate(sheet.notes, start=1)]
        out.append("</ol>")
    out += [f"<p>{escape(remark)}</p>" for remark in sheet.remarks]
    out += [f'<p class="warning">Warning: {escape(warning)}</p>' for warning in sheet.warnings]
    return "\n".join([*out, "</section>", ""])


def _block(block: Block, name: str) -> list[str]:
    out = ["<table>"]
    if block.title:
        out.append(f"<caption>{escape(block.title)}</caption>")
    heads = (
        f"<th{_classes(n=numeric)}>{escape(h)}</th>" for h, numeric in zip(block.heads, block.numeric, strict=True)
    )
    out.append(f"<thead><tr>{''.join(heads)}</tr></thead>")
    out.append("<tbody>")
    for number, row in enumerate(block.rows):
        cells = "".join(_cell(cell, numeric, name) for cell, numeric in zip(row, block.numeric, strict=True))
        out.append(f"<tr{_classes(rule=number in block.rules)}>{cells}</tr>")
    return [*out, "</tbody>", "</table>"]


def _cell(cell: Cell, numeric: bool, name: str) -> str:
    marks = ",".join(f'<a href="#{name}-{note}">{note}</a>' for note in cell.notes)
    notes = f"<sup>{marks}</sup>" if marks else ""
    return f"<td{_classes(n=numeric, best=cell.best, quiet=cell.quiet)}>{escape(cell.text)}{notes}</td>"


def _classes(**named: bool) -> str:
    chosen = " ".join(name for name, held in named.items() if held)
    return f' class="{chosen}"' if chosen else ""


def _linked(text: str) -> str:
    """Escaped text in which arXiv numbers and GitHub pages are links."""
    text = escape(text)
    text = re.sub(r"\barXiv (\d{4}\.\d{5})", r'<a href="https://arxiv.org/abs/\1">arXiv \1</a>', text)
    return re.sub(r"\bgithub\.com/[\w.-]+/[\w.-]+(?:/issues/\d+)?", r'<a href="https://\g<0>">\g<0></a>', text)
