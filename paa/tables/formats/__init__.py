"""Tables as text for a terminal, Markdown, LaTeX, HTML; and as long CSV, where numbers are whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paa.tables.formats import html, latex, markdown, plain
from paa.tables.sheet import Sheet

WRITERS: dict[str, Callable[[Sequence[Sheet]], str]] = {
    "text": plain.write,
    "md": markdown.write,
    "latex": latex.write,
    "html": html.write,
}
"""What writes whole sheets in each format but CSV, which has its own: `paa.tables.formats.long.comma_separated`."""

ENDINGS = {"text": "txt", "md": "md", "csv": "csv", "latex": "tex", "html": "html"}
"""File name endings of the formats."""

__all__ = ["ENDINGS", "WRITERS"]
