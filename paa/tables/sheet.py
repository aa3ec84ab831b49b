"""A table in cells of text with footnotes, independent of the output format. All formats write this.

Text is Unicode throughout ("±", "−", "Δ"); a format that lacks a character replaces it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, stdev

from paa.store.columns import name_of
from paa.tables.bootstrap import LEVEL, Estimate
from paa.tables.entries import Entry
from paa.tables.model import APL, APM, APS, Line, Metric, Part, Table
from paa.tables.provenance import differences
from paa.tables.published import Value

NOT_PUBLIC = "not public"
"""Stands in place of a published number if none was found in text."""


@dataclass(frozen=True)
class Cell:
    """A cell. notes, its footnotes; best, of its column; quiet, words in place of numbers."""

    text: str = ""
    notes: tuple[str, ...] = ()
    best: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Block:
    """A part of a table: headings, rows of as many cells, which columns hold numbers, the rows below a rule."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: tuple[bool, ...]
    rules: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Sheet:
    """A table. remarks, on all of it; warnings, reasons to doubt its numbers."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @cached_property
    def notes(self) -> list[str]:
        """The footnotes in the order of their cells; equal texts are one."""
        cells = (cell for block in self.blocks for row in block.rows for cell in row)
        return list(dict.fromkeys(note for cell in cells for note in cell.notes))

    @property
    def number(self) -> str:
        """The number of a table of the paper, "1"; else ""."""
        return self.name.removeprefix("table") if self.name.startswith("table") else ""

    @property
    def heading(self) -> str:
        """The title below its number, "Table 1. Anchor separation"."""
        return f"Table {self.number}. {self.title}" if self.number else self.title


def noted(text: str) -> tuple[str, ...]:
    """Return a footnote as the notes of a cell; none for an empty text."""
    return (text,) if text else ()


def sheet(table: Table) -> Sheet:
    """Write the table in cells."""
    blocks, warnings = tuple(map(_block, table.parts)), tuple(differences(table.entries))
    return Sheet(table.name, table.title, blocks, tuple(remarks(table)), warnings)


def _block(part: Part) -> Block:
    tested = any(line.estimate is not None or line.untested for line in part.lines)
    heads = [metric.title for metric in part.metrics]
    if part.quoted:
        heads.insert(1, f"published {heads[0]}")
    heads += ["n", *(["Δ AP", f"{100 * LEVEL:.0f} %", "p"] if tested else [])]
    best = {metric.name: _best(metric, part) for metric in part.metrics}
    rows = []
    for line in part.lines:
        numbers = [_number(line, metric, metric is part.metrics[0], best) for metric in part.metrics]
        if part.quoted:
            quote = _quote(line.quotes.get(part.metrics[0].name), NOT_PUBLIC)
            numbers.insert(1, replace(quote, notes=(*quote.notes, *line.citations)))
        test = _test(line, part.reference) if tested else []
        rows.append((*map(Cell, line.stub), *numbers, _count(line), *test))
    rules = frozenset(n for n, line in enumerate(part.lines) if line.rule)
    side = f"{part.name.capitalize()}: " if part.name in ("left", "right") else ""
    numeric = (False,) * len(part.heads) + (True,) * len(heads)
    return Block(f"{side}{part.title}", (*part.heads, *heads), tuple(rows), numeric, rules)


def _best(metric: Metric, part: Part) -> str | None:
    """The best mean as it is printed; None if all are equal."""
    means = part.means(metric)
    if len({decimal(mean, metric.digits) for mean in means}) < 2:
        return None
    return decimal(max(means) if metric.higher else min(means), metric.digits)


def _number(line: Line, metric: Metric, first: bool, best: dict[str, str | None]) -> Cell:
    """Our number; in the first column of a line without numbers, why there is none."""
    if line.scores is None:
        return _quote(line.quotes.get(metric.name), "")
    values = line.values(metric)
    if not values:
        return Cell(line.scores.missing() if first and not _partly(line) else "–", quiet=True)
    fewer = f"of {len(values)} of these seeds: the others have no such number" if len(values) < line.seeds else ""
    marks = noted(line.scores.server() if first else "") + noted(fewer)
    return Cell(mean_and_sd(values, metric), marks, best=decimal(fmean(values), metric.digits) == best[metric.name])


def _partly(line: Line) -> bool:
    """Whether some seeds have numbers, or lack them for different reasons: then a footnote at n gives them."""
    return line.scores is not None and (line.seeds > 0 or ";" in line.scores.missing())


def _quote(value: Value | None, absent: str) -> Cell:
    return Cell(absent, quiet=True) if value is None else Cell(value.text, noted(value.footnote))


def _count(line: Line) -> Cell:
    if line.scores is None:
        return Cell()
    wanted = len(line.scores.entry.runs)
    text = f"{line.seeds}" if line.seeds == wanted else f"{line.seeds} of {wanted}"
    return Cell(text, noted(line.scores.missing()) if _partly(line) else ())


def estimated(found: Estimate) -> list[Cell]:
    """Return difference, interval and p."""
    interval = f"[{signed(found.low)}, {signed(found.high)}]"
    return [Cell(signed(found.difference)), Cell(interval), Cell(f"{found.p:.3f}")]


def _test(line: Line, reference: Line | None) -> list[Cell]:
    found = line.estimate
    if found is None:
        text = "reference" if line.seeds and line.same_as(reference) else "–" if line.untested else ""
        return [Cell(text, noted(line.untested), quiet=True), Cell(), Cell()]
    cells = estimated(found)
    if len(found.paired_seeds) < line.seeds:
        seeds = ", ".join(map(str, found.paired_seeds))
        cells[0] = replace(cells[0], notes=noted(f"only on seeds {seeds}, which the reference has, too"))
    return cells


def mean_and_sd(values: Sequence[float], metric: Metric) -> str:
    """Print the mean and the sample standard deviation over seeds, "39.8 ± 0.2"; of one seed "39.8"."""
    mean = decimal(fmean(values), metric.digits)
    return mean if len(values) == 1 else f"{mean} ± {stdev(values):.{metric.digits}f}"


def decimal(value: float, digits: int) -> str:
    """Print a number with a typographic minus, and a zero without sign."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def signed(value: float, digits: int = 1) -> str:
    """Print "+0.3", "−0.3"; a zero without sign."""
    text = decimal(value, digits)
    return f"+{text}" if float(f"{value:.{digits}f}") > 0 else text


def remarks(table: Table) -> list[str]:
    """Return the remarks below a table: setting, test, published numbers; none if it shows no row of ours."""
    entries = table.entries
    if not entries:
        return []
    votings = {line.scores.voting for part in table.parts for line in part.lines if line.scores is not None}
    voting = "voting as in the rows" if len(votings) > 1 else f"score voting {'on' if votings == {True} else 'off'}"
    seeds = sorted({run.seed for entry in entries for run in entry.runs})
    words = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return [
        f"Ours: {setting(entries)}, {words}; {voting}. Mean ± standard deviation over n seeds; our best number in each"
        " column is marked.",
        *_sizes(table),
        *_tests(table),
        *_published(table),
    ]


def setting(entries: Sequence[Entry]) -> str:
    """Return recipe, data, split and schedule of the entries, all values if they differ."""

    def every(of: Callable[[Entry], object]) -> str:
        return ", ".join(dict.fromkeys(str(of(entry)) for entry in entries))

    steps, size = every(lambda e: e.at("schedule.steps")), every(lambda e: e.at("train.batch_size"))
    data, split = every(lambda e: name_of(e.at("data"))), every(lambda e: e.split)
    return f"recipe {every(lambda e: e.at('recipe.name'))} ({data}, split {split}, {steps} steps of {size} images)"


def _sizes(table: Table) -> list[str]:
    """Which object sizes have no AP in a row that was evaluated."""
    every = [(m, line) for part in table.parts for m in part.metrics for line in part.lines if line.seeds]
    sizes = list(dict.fromkeys(m.title for m, line in every if m in (APS, APM, APL) and not line.values(m)))
    return [f"{', '.join(sizes)}: “–” if no object has this size."] if sizes else []


def _tests(table: Table) -> list[str]:
    tests = [(part, line.estimate) for part in table.parts for line in part.lines if line.estimate is not None]
    out = []
    if tests:
        references = " and ".join(dict.fromkeys(_reference(part) for part, _ in tests))
        out.append(
            f"Δ AP: difference to {references}, on the seeds of both; interval and two-sided p from"
            f" {tests[0][1].resamples} resamples of the test images, the same for all rows and seeds (paired bootstrap,"
            " seeds as strata). They describe other images, not other seeds, and are not corrected for the number of"
            " rows."
        )
    for part in table.parts:
        if part.reference is not None and not part.reference.seeds and any(line.seeds for line in part.lines):
            out.append(f"Nothing is tested against {_reference(part)}, which has no numbers yet.")
    return list(dict.fromkeys(out))


def _reference(part: Part) -> str:
    """The reference of a part as a reader knows it: "PAA / IoU / on", "K 9"."""
    stub = part.reference.stub if part.reference is not None else ()
    return f"{part.heads[0]} {stub[0]}" if stub and stub[0][0].isdigit() else " / ".join(stub)


def _published(table: Table) -> list[str]:
    elsewhere = any(name_of(entry.at("data")) != "coco" for entry in table.entries)
    other = " Ours are on other data: compare differences, not values." if elsewhere else ""
    return [f"Published numbers: {table.published_on}. “{NOT_PUBLIC}”: none was found in text.{other}"]
