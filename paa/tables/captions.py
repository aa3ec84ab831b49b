"""Remarks below a table, for all of it: the setting, the test, the published numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paa.store.columns import name_of
from paa.tables.entries import Entry
from paa.tables.model import Part, Table

NOT_PUBLIC = "not public"
"""Stands in place of a published number if none was found in text."""


def remarks(table: Table) -> list[str]:
    """Return the remarks on a table; none if it shows no row of ours."""
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
    evaluated = [(line, part.metrics) for part in table.parts for line in part.lines if line.seeds]
    lacking = [m.title for line, metrics in evaluated for m in metrics if line.summary(m) is None]
    sizes = [title for title in dict.fromkeys(lacking) if title in ("APS", "APM", "APL")]
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
