"""Tables in LaTeX, with booktabs: a document that compiles as it is, from which single tables can be taken."""

from __future__ import annotations

from collections.abc import Sequence

from paa.tables.sheet import Block, Cell, Sheet

_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "±": r"$\pm$",
    "−": r"$-$",
    "Δ": r"$\Delta$",
    "–": "--",
    "“": "``",
    "”": "''",
    "×": r"$\times$",
}

_HEAD = r"""% Needs booktabs. A table can be taken out as it is, from \begin{table*} to \end{table*}.
\documentclass[a4paper]{article}
\usepackage[utf8]{inputenc}
\usepackage[landscape,margin=15mm]{geometry}
\usepackage{booktabs}
\setlength{\parindent}{0pt}
\begin{document}
"""


def write(sheets: Sequence[Sheet]) -> str:
    """A document of all tables."""
    return _HEAD + "\n".join(_counted(sheet) for sheet in sheets) + "\\end{document}\n"


def _counted(sheet: Sheet) -> str:
    """The table with the paper's number."""
    number = sheet.name.removeprefix("table")
    before = rf"\setcounter{{table}}{{{int(number) - 1}}}" + "\n" if number.isdigit() else ""
    return before + fragment(sheet)


def fragment(sheet: Sheet) -> str:
    """One table. Its parts stand side by side where the page is wide enough, else one below the other."""
    lines = [r"\begin{table*}[p]", r"\centering"]
    if sheet.name.startswith("table"):
        lines.append(rf"\caption{{{escape(sheet.title)}.}}\label{{tab:{sheet.name}}}")
    else:
        lines.append(rf"{escape(sheet.title)}.\par")
    # The lines of text that the tabulars make, where they do not fit into one, keep apart.
    lines.append(r"\scriptsize\setlength{\tabcolsep}{3pt}\lineskip=3ex\lineskiplimit=3ex\vspace{1ex}")
    lines.append("\n\\quad\n".join(_block(block) for block in sheet.blocks))
    lines += ["", r"\vspace{1ex}", r"\begin{minipage}{\linewidth}\scriptsize\raggedright"]
    notes = [rf"\textsuperscript{{{n}}}\,{escape(note)}." for n, note in enumerate(sheet.notes, start=1)]
    lines += [" ".join(notes) + r"\par"] if notes else []
    lines += [escape(remark) + r"\par" for remark in sheet.remarks]
    lines += [rf"\textbf{{Warning:}} {escape(warning)}.\par" for warning in sheet.warnings]
    lines += [r"\end{minipage}", r"\end{table*}", ""]
    return "\n".join(lines)


def _block(block: Block) -> str:
    """A tabular that hangs from its first line, so that neighbors are level, with its title above the rules."""
    columns = "".join("r" if numeric else "l" for numeric in block.numeric)
    lines = [rf"\begin{{tabular}}[t]{{@{{}}{columns}@{{}}}}"]
    if block.title:
        lines.append(rf"\multicolumn{{{len(columns)}}}{{@{{}}l}}{{\textbf{{{escape(block.title)}}}}} \\")
    lines += [r"\toprule", _row([escape(head) for head in block.heads]), r"\midrule"]
    for number, row in enumerate(block.rows):
        if number in block.rules:
            lines.append(r"\midrule")
        lines.append(_row([_cell(cell) for cell in row]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if text.startswith("["):  # after a line break LaTeX takes it for a length
        text = "{}" + text
    if text and cell.best:
        text = rf"\textbf{{{text}}}"
    elif text and cell.quiet:
        text = rf"\textit{{{text}}}"
    notes = rf"\textsuperscript{{{','.join(map(str, cell.notes))}}}" if cell.notes else ""
    return text + notes


def escape(text: str) -> str:
    """Text that LaTeX shows as it is; of Unicode, what tables use."""
    return "".join(_SIGNS.get(sign, sign) for sign in text)
