"""Tables as text for a terminal, Markdown, LaTeX and HTML; and as CSV, with all digits of every number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paa.tables.formats import html, latex, markdown, text
from paa.tables.sheet import Sheet

WRITERS: dict[str, Callable[[Sequence[Sheet]], str]] = {
    "text": text.write,
    "md": markdown.write,
    "latex": latex.write,
    "html": html.write,
}
"""Writers of sheets. CSV is written from the numbers: `numbers.write`, `claims_table.write_csv`."""

ENDINGS = {"text": "txt", "md": "md", "csv": "csv", "latex": "tex", "html": "html"}
"""File name endings of the formats."""

__all__ = ["ENDINGS", "WRITERS"]
