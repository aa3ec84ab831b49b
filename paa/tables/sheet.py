"""A table as it will be read: cells of text with footnotes, before any format. All formats write this.

Text is Unicode throughout ("±", "−", "Δ"); a format that cannot have a sign replaces it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from paa.tables.bootstrap import LEVEL
from paa.tables.captions import NOT_PUBLIC, remarks
from paa.tables.entries import ERRORS, Summary
from paa.tables.measure import Measured, is_reference
from paa.tables.model import Line, Metric, Part, Quote, Table
from paa.tables.provenance import mixtures
from paa.tables.published import Published


@dataclass(frozen=True)
class Cell:
    """A cell. notes, numbers of footnotes from 1; best, of its column; quiet, words in place of numbers."""

    text: str = ""
    notes: tuple[int, ...] = ()
    best: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Block:
    """A part of a table: heads, rows of as many cells, which columns are of numbers, before which rows a rule goes."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: tuple[bool, ...]
    rules: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Sheet:
    """A table. notes are numbered from 1; remarks hold for all of it; warnings say what speaks against its numbers."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass
class Notes:
    """Footnotes in the order in which they are first asked for; equal texts are one."""

    texts: list[str] = field(default_factory=list)

    def number(self, text: str) -> tuple[int, ...]:
        """The number of a footnote, in a tuple; none for no text."""
        if not text:
            return ()
        if text not in self.texts:
            self.texts.append(text)
        return (self.texts.index(text) + 1,)


def sheet(table: Table, measured: Sequence[tuple[Part, Sequence[Measured]]], published: Published) -> Sheet:
    """The table in cells."""
    notes = Notes()
    blocks = tuple(_block(part, lines, published, notes) for part, lines in measured)
    return Sheet(
        name=table.name,
        title=table.title,
        blocks=blocks,
        notes=tuple(notes.texts),
        remarks=tuple(remarks(table, measured)),
        warnings=tuple(mixtures(table.entries)),
    )


def _block(part: Part, lines: Sequence[Measured], published: Published, notes: Notes) -> Block:
    tested = any(one.estimate is not None or one.untested for one in lines)
    best = {metric.name: _best(metric, lines) for metric in part.metrics}
    heads, numeric = list(part.heads), [False] * len(part.heads)
    for metric in part.metrics:
        heads.append(metric.title)
        numeric.append(True)
        if metric in part.quoted:
            heads.append(f"published {metric.title}" if len(part.quoted) > 1 or metric.title == "AP" else "published")
            numeric.append(True)
    heads.append("n")
    numeric.append(True)
    if tested:
        heads += ["Δ AP", f"{100 * LEVEL:.0f} %", "p"]
        numeric += [True, True, True]
    rows = []
    for one in lines:
        row = [Cell(text) for text in one.line.stub]
        row += _numbers(one, part, best, published, notes)
        row.append(_count(one, notes))
        if tested:
            row += _test(one, part.reference, notes)
        rows.append(tuple(row))
    rules = frozenset(n for n, one in enumerate(lines) if one.line.rule)
    side = f"{part.name.capitalize()}: " if part.name in ("left", "right") else ""
    return Block(f"{side}{part.title}", tuple(heads), tuple(rows), tuple(numeric), rules)


def _best(metric: Metric, lines: Sequence[Measured]) -> str | None:
    """The best mean as it is printed; None where all are alike."""
    means = [one.numbers[metric.name].mean for one in lines if metric.name in one.numbers]
    if len({_printed(mean, metric) for mean in means}) < 2:
        return None
    return _printed(max(means) if metric.higher else min(means), metric)


def _printed(mean: float, metric: Metric) -> str:
    return signless(f"{mean:.{metric.digits}f}")


def _numbers(one: Measured, part: Part, best: dict[str, str | None], published: Published, notes: Notes) -> list[Cell]:
    """The cells of the metrics, each followed by that of its published number where the part shows such."""
    row: list[Cell] = []
    for number, metric in enumerate(part.metrics):
        if one.line.entry is None:
            row.append(_quoted(one.line.quotes.get(metric.name), published, notes, absent=""))
        elif metric.name in one.numbers:
            found = one.numbers[metric.name]
            fewer = f"of {found.n} of these seeds: the others have no such number" if found.n < one.seeds[0] else ""
            scored = one.line.entry.scored(one.line.voting) if number == 0 else ""
            marks = notes.number(scored) + notes.number(fewer)
            row.append(Cell(written(found, metric), marks, best=_printed(found.mean, metric) == best[metric.name]))
        else:
            row.append(Cell(_absent(one, metric, first=number == 0), quiet=True))
        if metric in part.quoted:
            cell = _quoted(one.line.quotes.get(metric.name), published, notes, absent=NOT_PUBLIC)
            for quote in one.line.also if number == 0 else ():
                cell = replace(cell, notes=cell.notes + _also(quote, published, notes))
            row.append(cell)
    return row


def written(summary: Summary, metric: Metric) -> str:
    """ "39.8 ± 0.2"; of one seed "39.8"."""
    mean = _printed(summary.mean, metric)
    return mean if summary.sd is None else f"{mean} ± {summary.sd:.{metric.digits}f}"


def signless(text: str) -> str:
    """A number with the minus sign of print, and none on a zero."""
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def _absent(one: Measured, metric: Metric, first: bool) -> str:
    """What stands in place of a number: at the head of a line without any, why there is none."""
    if one.seeds[0]:  # evaluated; a record that is older than the field has none, and COCO may have nothing to measure
        return "not recorded" if metric.name == ERRORS[1] else "–"
    return one.standing if first and _alike(one) else "–"


def _alike(one: Measured) -> bool:
    """Whether one phrase says of all seeds why there are no numbers."""
    return not one.seeds[0] and ";" not in one.standing


def _quoted(quote: Quote | None, published: Published, notes: Notes, absent: str) -> Cell:
    value = None if quote is None else published.get(quote.table, quote.row, quote.metric)
    if quote is None or value is None:
        return Cell(absent, quiet=True)
    return Cell(quote.form.format(value.text), notes.number(value.footnote))


def _also(quote: Quote, published: Published, notes: Notes) -> tuple[int, ...]:
    value = published.get(quote.table, quote.row, quote.metric)
    return () if value is None else notes.number(f"{quote.form.format(value.text)}: {value.footnote}")


def _count(one: Measured, notes: Notes) -> Cell:
    if one.line.entry is None:
        return Cell()
    have, wanted = one.seeds
    text = f"{have}" if have == wanted else f"{have} of {wanted}"
    return Cell(text, () if _alike(one) else notes.number(one.standing))


def _test(one: Measured, reference: Line | None, notes: Notes) -> list[Cell]:
    if reference is not None and is_reference(one.line, reference) and one.numbers:
        return [Cell("reference", notes.number(one.untested), quiet=True), Cell(), Cell()]
    found = one.estimate
    if found is None:
        return [Cell("–" if one.untested else "", notes.number(one.untested), quiet=True), Cell(), Cell()]
    short = found.seeds if len(found.seeds) < one.seeds[0] else ()
    which = notes.number(f"on seeds {', '.join(map(str, short))} alone, which the reference has, too") if short else ()
    ends = ", ".join(signed(end) for end in (found.low, found.high))
    return [Cell(signed(found.value), which), Cell(f"[{ends}]"), Cell(f"{found.p:.3f}")]


def signed(value: float, digits: int = 1) -> str:
    """ "+0.3", "−0.3"; a zero has no sign."""
    text = signless(f"{value:.{digits}f}")
    return text if float(text.replace("−", "-")) <= 0 else f"+{text}"
