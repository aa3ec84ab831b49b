"""Tables as text for a terminal, Markdown, LaTeX, HTML; and as long CSV, where numbers are whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paa.tables.formats.html import html
from paa.tables.formats.latex import latex
from paa.tables.formats.markdown import markdown
from paa.tables.formats.plain import plain
from paa.tables.sheet import Sheet

WRITERS: dict[str, Callable[[Sequence[Sheet]], str]] = {
    "text": plain,
    "md": markdown,
    "latex": latex,
    "html": html,
}
"""What writes whole sheets in each format but CSV, which has its own: `paa.tables.formats.long.comma_separated`."""

ENDINGS = {"text": "txt", "md": "md", "csv": "csv", "latex": "tex", "html": "html"}
"""File name endings of the formats."""

__all__ = ["ENDINGS", "WRITERS"]
