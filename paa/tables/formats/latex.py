"""Tables in LaTeX, with booktabs: a document that compiles as it is, from which single tables can be taken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template

from paa.tables.sheet import Block, Sheet

_ESCAPED = {sign: rf"\{sign}" for sign in "{}&%$#_"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "–": "--",
    "“": "``",
    "”": "''",
    "[": "{[}",  # after a line break LaTeX takes it for a length
}

_DOCUMENT = Template(Path(__file__).with_name("document.tex").read_text(encoding="utf-8"))


def write(sheets: Sequence[Sheet]) -> str:
    """Write a document of all tables."""
    return _DOCUMENT.substitute(tables="\n".join(map(_sheet, sheets)))


def _sheet(sheet: Sheet) -> str:
    """A float with the paper's number. Its parts stand side by side if the page is wide enough."""
    title = rf"{escape(sheet.title)}.\par"
    lines = []
    if sheet.number:
        lines.append(rf"\setcounter{{table}}{{{int(sheet.number) - 1}}}")
        title = rf"\caption{{{escape(sheet.title)}.}}\label{{tab:{sheet.name}}}"
    # lineskip separates parts that stand one below the other
    spacing = r"\scriptsize\setlength{\tabcolsep}{3pt}\lineskip=3ex\lineskiplimit=3ex\vspace{1ex}"
    lines += [r"\begin{table*}[p]", r"\centering", title, spacing, "\n\\quad\n".join(map(_block, sheet.blocks))]
    lines += ["", r"\vspace{1ex}", r"\begin{minipage}{\linewidth}\scriptsize\raggedright"]
    lines += [rf"\textsuperscript{{{n}}}\,{escape(note)}." for n, note in enumerate(sheet.notes, start=1)]
    lines += [r"\par"] if sheet.notes else []
    lines += [escape(remark) + r"\par" for remark in sheet.remarks]
    lines += [rf"\textbf{{Warning:}} {escape(warning)}.\par" for warning in sheet.warnings]
    return "\n".join([*lines, r"\end{minipage}", r"\end{table*}", ""])


def _block(block: Block) -> str:
    """A tabular aligned at its first line, so that neighbors are level, with its title above the rules."""
    columns = "".join("r" if numeric else "l" for numeric in block.numeric)
    title = rf"\multicolumn{{{len(columns)}}}{{@{{}}l}}{{\textbf{{{escape(block.title)}}}}} \\" + "\n"
    lines = [rf"\begin{{tabular}}[t]{{@{{}}{columns}@{{}}}}", (title if block.title else "") + r"\toprule"]
    lines += [" & ".join(map(escape, block.heads)) + r" \\", r"\midrule"]
    for number, row in enumerate(block.rows):
        cells = [cell.written(escape, r"\textbf{{{}}}", r"\textit{{{}}}", r"\textsuperscript{{{}}}") for cell in row]
        lines.append((r"\midrule " if number in block.rules else "") + " & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def escape(text: str) -> str:
    """Escape what LaTeX would interpret, and replace the Unicode characters that tables use."""
    return "".join(_ESCAPED.get(sign, sign) for sign in text)
