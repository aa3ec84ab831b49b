"""Published numbers: what `published.csv` holds, each with its source, found by table and row."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Value:
    """A published number. text is as it was printed ("39.4"), or the words in place of one ("fails")."""

    text: str
    note: str
    sources: tuple[str, ...]

    @property
    def footnote(self) -> str:
        """Its sources and its note."""
        return "; ".join([*self.sources, *([self.note] if self.note else [])])


class Published:
    """All published numbers, {(table, row, metric): Value}. If there are several, the first one counts."""

    def __init__(self, values: dict[tuple[str, str, str], Value]) -> None:
        self._values = values

    @classmethod
    def read(cls, path: Path) -> Published:
        """Read the file. An equal number from another source adds this source."""
        values: dict[tuple[str, str, str], Value] = {}
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                key = row["table"], row["row"], row["metric"]
                text = row["value"] or row["note"].split(" (")[0]  # no number: "fails (no anchor scores in range)"
                first = values.setdefault(key, Value(text, row["note"], (row["source"],)))
                if first.text == text and row["source"] not in first.sources:
                    values[key] = replace(first, sources=(*first.sources, row["source"]))
        return cls(values)

    def value(self, table: str, row: str, metric: str = "AP", form: str = "{}") -> Value:
        """Return the number in the words of `form` ("+{} over IoU"). KeyError if there is none."""
        found = self._values[table, row, metric]
        return replace(found, text=form.format(found.text))

    def row(self, table: str, row: str) -> dict[str, Value]:
        """{metric: number} of one row; empty if there is no such row."""
        return {metric: value for (t, r, metric), value in self._values.items() if (t, r) == (table, row)}

    def rows(self, table: str) -> list[str]:
        """The rows of a table, in the file's order."""
        return list(dict.fromkeys(row for of, row, _ in self._values if of == table))
