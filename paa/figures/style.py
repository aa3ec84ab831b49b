"""What all figures share: sizes of a page, letters and lines that survive print, colors, files that appear whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from paa import checks, files
from paa.drawing.assignment import COLORS

PAGE, COLUMN = 6.5, 3.3
"""Inches: the width of a page's text, and of one of two columns."""

FORMATS = ("png", "pdf", "svg")

DPI = 300

ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = COLORS

LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
"""Colors of lines on white paper, in the order in which they are given out; yellow is too pale for a line."""

_STYLE = Path(__file__).with_name("print.mplstyle")


@contextmanager
def printed() -> Iterator[None]:
    """Within, figures have the sizes of letters and lines that print wants."""
    with matplotlib.style.context(_STYLE):
        yield


def page(width: float, height: float, layout: str | None = "constrained") -> Figure:
    """An empty figure of so many inches, nothing global used; without a layout, axes are placed by hand."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout)  # type: ignore[arg-type]
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, folder: Path, stem: str, formats: Sequence[str] = ("png",)) -> list[Path]:
    """Writes `folder`/`stem`.png and so on, each whole or not at all; equal figures give equal bytes."""
    paths = []
    for name in formats:
        checks.choice("format", name, FORMATS)
        path = folder / f"{stem}.{name}"
        with printed(), files.replacing(path, durable=False) as file:
            figure.savefig(file, format=name, metadata=_UNDATED[name])
        paths.append(path)
    return paths


_UNDATED: dict[str, dict[str, None]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
