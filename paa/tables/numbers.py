"""Tables as CSV: a line for each number, with everything that belongs to it and all digits."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean, stdev

from paa.store.text_table import comma_separated
from paa.tables.model import Line, Metric, Part, Table

FIELDS = (
    *("table", "part", "row", "label", "recipe", "split", "voting", "metric"),
    *("mean", "sd", "n", "wanted", "seeds", "values", "missing", "best"),
    *("published", "published_note", "published_source"),
    *("reference", "difference", "low", "high", "p", "resamples", "paired_seeds"),
)
"""The columns. values are those of `seeds`, in this order; mean, sd, low, high are in the unit of the metric."""


def write(tables: Iterable[Table]) -> str:
    """Write all tables in one file."""
    rows = [
        {"table": table.name, "part": part.name, **_row(part, line, metric)}
        for table in tables
        for part in table.parts
        for line in part.lines
        for metric in part.metrics
    ]
    return comma_separated(FIELDS, [[row.get(name) for name in FIELDS] for row in rows])


def _row(part: Part, line: Line, metric: Metric) -> dict[str, object]:
    row: dict[str, object] = {"row": line.key, "label": " / ".join(line.stub), "metric": metric.name}
    if line.scores is not None:
        entry, values = line.scores.entry, line.scores.values(metric.name)
        row |= {
            "recipe": entry.at("recipe.name"),
            "split": entry.split,
            "voting": "on" if line.scores.voting else "off",
        }
        row |= {"n": len(values), "wanted": len(entry.runs), "missing": line.scores.missing()}
        row |= {"seeds": tuple(values), "values": tuple(values.values())}
        if metric.name == "AP" and part.reference is not None:
            row |= {"reference": part.reference.key, **(vars(line.estimate) if line.estimate else {})}
    found, value = line.values(metric), line.quotes.get(metric.name)
    if found:
        mean, means = fmean(found), part.means(metric)
        best = len(means) > 1 and mean == (max if metric.higher else min)(means)
        row |= {"mean": mean, "sd": stdev(found) if len(found) > 1 else None, "best": best}
    if value is not None:
        row |= {"published": value.text, "published_note": value.note, "published_source": "; ".join(value.sources)}
    return row
