"""Tables as long CSV: a line for each number, with all that belongs to it and every digit."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from paa.tables.measure import Measured, is_reference
from paa.tables.model import Metric, Part, Table
from paa.tables.published import Published

FIELDS = (
    *("table", "part", "row", "label", "recipe", "split", "voting", "metric"),
    *("mean", "sd", "n", "wanted", "seeds", "values", "missing", "best"),
    *("published", "published_note", "published_source"),
    *("reference", "difference", "low", "high", "p", "resamples", "paired_seeds"),
)
"""The columns. values are those of the seeds, in their order; mean, sd, low and so on are in the metric's own unit."""


def comma_separated(
    tables: Iterable[tuple[Table, Sequence[tuple[Part, Sequence[Measured]]]]], published: Published
) -> str:
    """All tables in one file."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    for table, parts in tables:
        for part, lines in parts:
            for one in lines:
                for metric in part.metrics:
                    writer.writerow(_row(table, part, one, metric, lines, published))
    return out.getvalue()


def _row(
    table: Table, part: Part, one: Measured, metric: Metric, lines: Sequence[Measured], published: Published
) -> dict[str, object]:
    line, entry = one.line, one.line.entry
    row: dict[str, object] = {
        "table": table.name,
        "part": part.name,
        "row": line.key,
        "label": " / ".join(line.stub),
        "metric": metric.name,
    }
    if entry is not None:
        values = entry.values(metric.name, line.voting)
        row |= {
            "recipe": entry.at("recipe.name"),
            "split": entry.split,
            "voting": "on" if line.voting else "off",
            "n": len(values),
            "wanted": len(entry.runs),
            "seeds": " ".join(map(str, values)),
            "values": " ".join(map(repr, values.values())),
            "missing": one.standing,
        }
    summary = one.numbers.get(metric.name)
    if summary is not None:
        row |= {"mean": summary.mean, "sd": "" if summary.sd is None else summary.sd}
        others = [other.numbers[metric.name].mean for other in lines if metric.name in other.numbers]
        best = max(others) if metric.higher else min(others)
        row["best"] = "yes" if len(others) > 1 and summary.mean == best else "no"
    quote = line.quotes.get(metric.name)
    value = quote and published.get(quote.table, quote.row, quote.metric)
    if quote and value:
        row |= {"published": quote.form.format(value.text), "published_note": value.note}
        row["published_source"] = "; ".join(value.sources)
    if metric.name == "AP":
        row |= _test(one, part)
    return row


def _test(one: Measured, part: Part) -> dict[str, object]:
    if part.reference is None or one.line.entry is None:
        return {}
    row: dict[str, object] = {"reference": part.reference.key}
    found = one.estimate
    if found is None or is_reference(one.line, part.reference):
        return row
    return row | {
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "resamples": found.resamples,
        "paired_seeds": " ".join(map(str, found.seeds)),
    }
