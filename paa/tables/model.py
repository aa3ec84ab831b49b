"""What a table shows, before it is written in cells: parts, lines, metrics, published numbers, tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean

from paa.tables.bootstrap import Bootstrap, Estimate, PairingError
from paa.tables.entries import Entry, Scores
from paa.tables.published import Value


@dataclass(frozen=True)
class Metric:
    """A column of numbers: which, its heading, decimals, and whether higher is better."""

    name: str
    title: str
    digits: int = 1
    higher: bool = True


AP, AP50, AP75, APS, APM, APL = (Metric(name, name) for name in ("AP", "AP50", "AP75", "APS", "APM", "APL"))


@dataclass(frozen=True)
class Line:
    """A line of a table.

    key        its name in CSV and in footnotes: "fnp_5", "paa_iou, voting".
    stub       the cells that say what it is, one for each heading of the part.
    scores     our numbers; None in a line that shows only published numbers.
    quotes     {metric: published number}.
    citations  published numbers of another setting, for footnotes.
    rule       whether a rule separates it from the line above.
    estimate   its difference in AP to the reference of the part; None for the reference, or if `untested` says why.
    """

    key: str
    stub: tuple[str, ...]
    scores: Scores | None
    quotes: Mapping[str, Value] = field(default_factory=dict)
    citations: tuple[str, ...] = ()
    rule: bool = False
    estimate: Estimate | None = None
    untested: str = ""

    def values(self, metric: Metric) -> list[float]:
        """Return the number of each seed that has it."""
        return [] if self.scores is None else list(self.scores.values(metric.name).values())

    @property
    def seeds(self) -> int:
        """How many seeds have AP."""
        return len(self.values(AP))

    def same_as(self, other: Line | None) -> bool:
        """Whether both show the same evaluations."""
        return bool(other and self.scores and other.scores and self.scores.ids == other.scores.ids)


@dataclass(frozen=True)
class Part:
    """One half of a table as the paper prints it, or the whole table.

    heads      headings of the stub's cells; metrics, the columns of numbers.
    reference  the line that AP of the others is tested against; None if nothing is tested.
    quoted     whether a column of published numbers follows the first metric.
    """

    name: str
    title: str
    heads: tuple[str, ...]
    metrics: tuple[Metric, ...]
    lines: tuple[Line, ...]
    reference: Line | None = None
    quoted: bool = True

    def means(self, metric: Metric) -> list[float]:
        """Return the mean over seeds of each line that has numbers."""
        return [fmean(values) for line in self.lines if (values := line.values(metric))]


@dataclass(frozen=True)
class Table:
    """A table: "table1", its title, its parts, and the setting of its published numbers."""

    name: str
    title: str
    parts: tuple[Part, ...]
    published_on: str

    @property
    def entries(self) -> list[Entry]:
        """The entries that lines show, each once."""
        found = (line.scores.entry for part in self.parts for line in part.lines if line.scores is not None)
        return list({id(entry): entry for entry in found}.values())


def tested(table: Table, bootstrap: Bootstrap) -> Table:
    """Return the table with each line tested against the reference of its part."""
    parts = [replace(p, lines=tuple(_tested(line, p.reference, bootstrap) for line in p.lines)) for p in table.parts]
    return replace(table, parts=tuple(parts))


def _tested(line: Line, reference: Line | None, bootstrap: Bootstrap) -> Line:
    if line.scores is None or not line.seeds or reference is None or reference.scores is None:
        return line
    ours, theirs = line.scores.matches(), reference.scores.matches()
    if not ours:
        return replace(line, untested="untested: its matches (evals/*.npz) are not there")
    if line.same_as(reference) or not theirs:
        return line
    try:
        return replace(line, estimate=bootstrap.difference(ours, theirs))
    except (PairingError, ValueError, OSError) as error:
        return replace(line, untested=f"untested: {error}")
