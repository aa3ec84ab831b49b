"""What a table is made of before anything is measured or written: parts, lines, and what stands in their columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from paa.tables.entries import Entry


@dataclass(frozen=True)
class Metric:
    """A column of numbers: which, its head, digits after the point, and whether more is better."""

    name: str
    title: str
    digits: int = 1
    higher: bool = True


AP, AP50, AP75, APS, APM, APL = (Metric(name, name) for name in ("AP", "AP50", "AP75", "APS", "APM", "APL"))


@dataclass(frozen=True)
class Quote:
    """A published number, by its place in published.csv, and the words it is shown in: "{}", "+{} over IoU"."""

    table: str
    row: str
    metric: str = "AP"
    form: str = "{}"


@dataclass(frozen=True)
class Line:
    """A line of a table.

    key      what it is called in CSV and in footnotes: "fnp_5", "paa_iou, voting".
    stub     the cells that say what it is, one for each head of the part.
    entry    whose numbers it shows; None for a line of published numbers alone.
    voting   with which the entry was evaluated.
    quotes   {metric: published number}; also, published numbers of another setting, for a footnote.
    rule     whether a rule separates it from the line above.
    """

    key: str
    stub: tuple[str, ...]
    entry: Entry | None
    voting: bool = False
    quotes: Mapping[str, Quote] = field(default_factory=dict)
    also: tuple[Quote, ...] = ()
    rule: bool = False


@dataclass(frozen=True)
class Part:
    """One half of a table as the paper prints it, or all of it.

    heads      over the stub's cells. metrics, the columns of numbers.
    reference  what AP of the others is tested against; None where nothing is tested.
    quoted     the metrics that published numbers are shown of: in a column each behind ours; or, where they have lines
               of their own, none.
    """

    name: str
    title: str
    heads: tuple[str, ...]
    metrics: tuple[Metric, ...]
    lines: tuple[Line, ...]
    reference: Line | None = None
    quoted: tuple[Metric, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table: "table1", its title, its parts, and the setting that its published numbers were measured in."""

    name: str
    title: str
    parts: tuple[Part, ...]
    published_on: str

    @property
    def entries(self) -> list[Entry]:
        """All entries that lines show, each once."""
        found = (line.entry for part in self.parts for line in part.lines)
        return list({id(entry): entry for entry in found if entry is not None}.values())
