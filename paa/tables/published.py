"""Published numbers: what `published.csv` holds, each with its source, found by table and row."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("table", "row", "metric", "value", "note", "source")


@dataclass(frozen=True)
class Value:
    """A published number. text is as it was printed ("39.4"), or the words in place of one ("fails")."""

    text: str
    note: str
    sources: tuple[str, ...]

    @property
    def footnote(self) -> str:
        """Where it stands, and what goes with it."""
        return "; ".join([*self.sources, *([self.note] if self.note else [])])


class Published:
    """All published numbers, {(table, row, metric): Value}. Of several the first counts; equal ones add a source."""

    def __init__(self, values: Mapping[tuple[str, str, str], Value]) -> None:
        self._values = dict(values)

    @classmethod
    def read(cls, path: Path) -> Published:
        """Reads the file. ValueError names file, line and what is wrong."""
        values: dict[tuple[str, str, str], Value] = {}
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if tuple(rows.fieldnames or ()) != COLUMNS:
                raise ValueError(f"{path}: the columns must be {', '.join(COLUMNS)}")
            for number, row in enumerate(rows, start=2):
                if None in row.values() or None in row or not row["source"]:
                    raise ValueError(f"{path}, line {number}: must have {len(COLUMNS)} fields, and a source")
                key, text = (row["table"], row["row"], row["metric"]), row["value"]
                if not text:  # no number: "fails (no anchor scores in range)"
                    text = row["note"].split(" (")[0]
                if key not in values:
                    values[key] = Value(text, row["note"], (row["source"],))
                elif values[key].text == text and row["source"] not in values[key].sources:
                    had = values[key]
                    values[key] = Value(text, had.note, (*had.sources, row["source"]))
        return cls(values)

    def get(self, table: str, row: str, metric: str) -> Value | None:
        """The number, or None where none was found."""
        return self._values.get((table, row, metric))

    def rows(self, table: str) -> list[str]:
        """The rows of a table, in the file's order."""
        return list(dict.fromkeys(row for of, row, _ in self._values if of == table))

    def of(self, table: str, row: str, metrics: Sequence[str]) -> dict[str, Value]:
        """{metric: number} of a row, of the metrics that it has."""
        found = {metric: self.get(table, row, metric) for metric in metrics}
        return {metric: value for metric, value in found.items() if value is not None}
