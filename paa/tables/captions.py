"""What holds for all of a table, in sentences below it: the setting, the test, the published numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paa.store.columns import name_of
from paa.tables.entries import Entry
from paa.tables.measure import Measured
from paa.tables.model import Line, Part, Table

SIZES = ("APS", "APM", "APL")

NOT_PUBLIC = "not public"
"""What stands in place of a published number where none was found in text."""


def remarks(table: Table, measured: Sequence[tuple[Part, Sequence[Measured]]]) -> list[str]:
    """The remarks on a table; none where it shows no row of ours."""
    entries = table.entries
    if not entries:
        return []
    seeds = sorted({run.seed for entry in entries for run in entry.runs})
    what = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"
    ours = f"Ours: {setting(entries)}, {what}; {_voting(table)}."
    marked = "Mean ± standard deviation over n seeds; the best of ours in each column is marked."
    return [f"{ours} {marked}", *_sizes(measured), *dict.fromkeys(_tests(measured)), *_published(table, measured)]


def _sizes(measured: Sequence[tuple[Part, Sequence[Measured]]]) -> list[str]:
    """Which sizes of objects have no AP although their row has been evaluated."""
    evaluated = [(one, metric) for part, lines in measured for one in lines if one.numbers for metric in part.metrics]
    lacking = [m.title for one, m in evaluated if m.name in SIZES and m.name not in one.numbers]
    return [f"{', '.join(dict.fromkeys(lacking))}: “–” where no object has this size."] if lacking else []


def _tests(measured: Sequence[tuple[Part, Sequence[Measured]]]) -> list[str]:
    references = [_reference(part) for part, lines in measured if any(one.estimate for one in lines)]
    estimates = [one.estimate for _, lines in measured for one in lines if one.estimate is not None]
    out = []
    if estimates:
        out.append(
            f"Δ AP: difference to {' and '.join(dict.fromkeys(references))}, on the seeds of both; interval and"
            f" two-sided p from {estimates[0].resamples} draws of the test images, the same draws for all rows and"
            " seeds (paired bootstrap, seeds as strata). They are about other images, not about other seeds, and not"
            " corrected for the number of rows."
        )
    for part, lines in measured:
        absent = part.reference is not None and not _has_numbers(part.reference)
        if absent and any(one.numbers for one in lines):
            out.append(f"Nothing is tested against {_reference(part)}, of which there are no numbers yet.")
    return out


def _published(table: Table, measured: Sequence[tuple[Part, Sequence[Measured]]]) -> list[str]:
    if not any(line.entry is None or line.quotes or part.quoted for part, _ in measured for line in part.lines):
        return []
    elsewhere = any(name_of(entry.at("data")) != "coco" for entry in table.entries)
    beside = " Ours are of other data: compare differences, not values." if elsewhere else ""
    return [f"Published numbers: {table.published_on}. “{NOT_PUBLIC}”: none was found in text.{beside}"]


def _has_numbers(line: Line) -> bool:
    return line.entry is not None and bool(line.entry.values("AP", line.voting))


def _reference(part: Part) -> str:
    """What the reference of a part is called outside of its table: "PAA / IoU / on", "K 9"."""
    stub = part.reference.stub if part.reference is not None else ()
    return f"{part.heads[0]} {stub[0]}" if stub and stub[0][0].isdigit() else " / ".join(stub)


def setting(entries: Sequence[Entry]) -> str:
    """Recipe, split, data, schedule: of each what the entries have, all of them where they differ."""

    def every(of: Callable[[Entry], object]) -> str:
        return ", ".join(dict.fromkeys(str(of(entry)) for entry in entries))

    steps, size = every(lambda e: e.at("schedule.steps")), every(lambda e: e.at("train.batch_size"))
    data, split = every(lambda e: name_of(e.at("data"))), every(lambda e: e.split)
    return f"recipe {every(lambda e: e.at('recipe.name'))} ({data}, split {split}, {steps} steps of {size} images)"


def _voting(table: Table) -> str:
    votings = {line.voting for part in table.parts for line in part.lines if line.entry is not None}
    if len(votings) > 1:
        return "voting as the rows say"
    return f"score voting {'on' if votings == {True} else 'off'}"
