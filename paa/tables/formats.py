"""Tables as text for a terminal, Markdown, LaTeX and HTML. CSV is written from the numbers, not from cells."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from html import escape as html_escape
from pathlib import Path
from string import Template

from paa.store.text_table import aligned
from paa.store.text_table import markdown as markdown_table
from paa.tables.sheet import Block, Sheet

_HERE = Path(__file__).parent
_PAGE = Template((_HERE / "page.html").read_text(encoding="utf-8"))
_DOCUMENT = Template((_HERE / "document.tex").read_text(encoding="utf-8"))

_LATEX_SIGNS = str.maketrans(
    {sign: rf"\{sign}" for sign in "{}&%$#_"}
    | {sign: f"${sign}$" for sign in "<>|"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$", "−": "$-$", "×": r"$\times$", "Δ": r"$\Delta$", "–": "--", "“": "``", "”": "''"}
    | {"[": "{[}"}  # after a line break LaTeX takes it for a length
)


def text(sheets: Sequence[Sheet]) -> str:
    """Write aligned text; a star marks the best of a column, footnotes are numbers in brackets."""

    def block(one: Block) -> str:
        rows = [[cell.written(str, "*{}", "{}", " [{}]") for cell in row] for row in one.rows]
        title = f"{one.title}\n" if one.title else ""
        return title + aligned(one.heads, rows, right=one.numeric, rules={0, *one.rules})

    def write(sheet: Sheet) -> str:
        below = [f"[{n}] {note}" for n, note in enumerate(sheet.notes, start=1)]
        below += [f"* {remark}" for remark in sheet.remarks] + [f"warning: {warning}" for warning in sheet.warnings]
        wrapped = [textwrap.fill(line, 120, subsequent_indent="    ", break_long_words=False) for line in below]
        return "\n".join([sheet.heading, "", *map(block, sheet.blocks), *wrapped]) + "\n"

    return "\n".join(map(write, sheets))


def markdown(sheets: Sequence[Sheet]) -> str:
    """Write Markdown as GitHub renders it; the best of a column is bold, footnotes are raised numbers."""

    def escape(value: str) -> str:  # "|" is left to the table
        return re.sub(r"([\\`*_<>\[\]~#])", r"\\\1", value)

    def block(one: Block) -> str:
        rows = []
        for number, row in enumerate(one.rows):
            if number in one.rules:  # Markdown has no rules between rows
                rows.append([""] * len(row))
            rows.append([cell.written(escape, "**{}**", "*{}*", "<sup>{}</sup>") for cell in row])
        title = f"**{escape(one.title)}**\n\n" if one.title else ""
        return title + markdown_table([escape(head) for head in one.heads], rows, right=one.numeric)

    def write(sheet: Sheet) -> str:
        lines = [f"### {escape(sheet.heading)}", "", *map(block, sheet.blocks)]
        lines += [f"<sup>{n}</sup> {escape(note)}  " for n, note in enumerate(sheet.notes, start=1)]
        lines += [f"\n{escape(remark)}" for remark in sheet.remarks]
        lines += [f"\n> **Warning:** {escape(warning)}" for warning in sheet.warnings]
        return "\n".join(lines) + "\n"

    return "\n".join(map(write, sheets))


def latex(sheets: Sequence[Sheet]) -> str:
    """Write a document that compiles as it is, with booktabs; single tables can be taken from it."""

    def escape(value: str) -> str:
        return value.translate(_LATEX_SIGNS)

    def block(one: Block) -> str:
        """Align a tabular at its first line, so that neighbors are level, with its title above the rules."""
        forms = r"\textbf{{{}}}", r"\textit{{{}}}", r"\textsuperscript{{{}}}"
        columns = "".join("r" if numeric else "l" for numeric in one.numeric)
        title = rf"\multicolumn{{{len(columns)}}}{{@{{}}l}}{{\textbf{{{escape(one.title)}}}}} \\" + "\n"
        lines = [rf"\begin{{tabular}}[t]{{@{{}}{columns}@{{}}}}", (title if one.title else "") + r"\toprule"]
        lines += [" & ".join(map(escape, one.heads)) + r" \\", r"\midrule"]
        for number, row in enumerate(one.rows):
            cells = [cell.written(escape, *forms) for cell in row]
            lines.append((r"\midrule " if number in one.rules else "") + " & ".join(cells) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])

    def write(sheet: Sheet) -> str:
        """Write a float with the paper's number. Its parts stand side by side if the page is wide enough."""
        lines, title = [], rf"{escape(sheet.title)}.\par"
        if sheet.number:
            lines = [rf"\setcounter{{table}}{{{int(sheet.number) - 1}}}"]
            title = rf"\caption{{{escape(sheet.title)}.}}\label{{tab:{sheet.name}}}"
        # lineskip separates parts that stand one below the other
        spacing = r"\scriptsize\setlength{\tabcolsep}{3pt}\lineskip=3ex\lineskiplimit=3ex\vspace{1ex}"
        lines += [r"\begin{table*}[p]", r"\centering", title, spacing, "\n\\quad\n".join(map(block, sheet.blocks))]
        lines += ["", r"\vspace{1ex}", r"\begin{minipage}{\linewidth}\scriptsize\raggedright"]
        lines += [rf"\textsuperscript{{{n}}}\,{escape(note)}." for n, note in enumerate(sheet.notes, start=1)]
        lines += [r"\par"] if sheet.notes else []
        lines += [escape(remark) + r"\par" for remark in sheet.remarks]
        lines += [rf"\textbf{{Warning:}} {escape(warning)}.\par" for warning in sheet.warnings]
        return "\n".join([*lines, r"\end{minipage}", r"\end{table*}", ""])

    return _DOCUMENT.substitute(tables="\n".join(map(write, sheets)))


def html(sheets: Sequence[Sheet]) -> str:
    """Write one page that needs no other file, readable on light and dark screens and in print."""

    def linked(value: str) -> str:
        """Escape text, and link arXiv numbers and GitHub pages."""
        value = html_escape(value)
        value = re.sub(r"\barXiv (\d{4}\.\d{5})", r'<a href="https://arxiv.org/abs/\1">arXiv \1</a>', value)
        return re.sub(r"\bgithub\.com/[\w.-]+/[\w.-]+(?:/issues/\d+)?", r'<a href="https://\g<0>">\g<0></a>', value)

    def block(one: Block, name: str) -> str:
        kinds = [' class="n"' if numeric else "" for numeric in one.numeric]
        heads = "".join(f"<th{kind}>{html_escape(head)}</th>" for head, kind in zip(one.heads, kinds, strict=True))
        caption = f"<caption>{html_escape(one.title)}</caption>" if one.title else ""
        out = [f'<div class="part"><table>{caption}<thead><tr>{heads}</tr></thead>', "<tbody>"]
        footnote = rf'<a href="#{name}-\g<0>">\g<0></a>'
        for number, row in enumerate(one.rows):
            cells = [cell.written(html_escape, "<b>{}</b>", "<i>{}</i>", "<sup>{}</sup>") for cell in row]
            data = "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(cells, kinds, strict=True))
            data = re.sub(r"(?<=<sup>)[\d,]+", lambda marks: re.sub(r"\d+", footnote, marks[0]), data)
            out.append(('<tr class="rule">' if number in one.rules else "<tr>") + f"{data}</tr>")
        return "\n".join([*out, "</tbody></table></div>"])

    def write(sheet: Sheet) -> str:
        out = [f'<section id="{sheet.name}">', f"<h2>{html_escape(sheet.heading)}</h2>", '<div class="parts">']
        out += [block(one, sheet.name) for one in sheet.blocks]
        notes = [f'<li id="{sheet.name}-{n}">{linked(note)}</li>' for n, note in enumerate(sheet.notes, start=1)]
        out += ["</div>", *(["<ol>", *notes, "</ol>"] if notes else [])]
        out += [f"<p>{html_escape(remark)}</p>" for remark in sheet.remarks]
        out += [f'<p class="warning">Warning: {html_escape(warning)}</p>' for warning in sheet.warnings]
        return "\n".join([*out, "</section>", ""])

    title = ", ".join(f"Table {sheet.number}" if sheet.number else sheet.title for sheet in sheets)
    return _PAGE.substitute(title=html_escape(title), body="".join(map(write, sheets)))


WRITERS: dict[str, Callable[[Sequence[Sheet]], str]] = {"text": text, "md": markdown, "latex": latex, "html": html}
"""Writers of sheets. CSV is written from the numbers: `numbers.write`, `claims_table.write_csv`."""

ENDINGS = {"text": "txt", "md": "md", "csv": "csv", "latex": "tex", "html": "html"}
"""File name endings of the formats."""
