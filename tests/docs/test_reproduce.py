"""Published figures in docs/reproduce.md are those of analysis/published.csv."""

from __future__ import annotations

import csv
import re

import pytest
from pages import REPO

PAGE = (REPO / "docs" / "reproduce.md").read_text()


@pytest.fixture(scope="module")
def published() -> list[dict[str, str]]:
    with (REPO / "analysis" / "published.csv").open() as file:
        return list(csv.DictReader(file))


def tables() -> list[list[dict[str, str]]]:
    """The tables of the page, a row {column: cell}."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", PAGE, re.M):
        head, _, *rows = ([cell.strip() for cell in line.strip("| ").split("|")] for line in block.splitlines())
        found.append([dict(zip(head, [*row, *[""] * (len(head) - len(row))], strict=True)) for row in rows])
    return found


def test_the_numbers_to_reproduce(published):
    checked = 0
    for row in (row for table in tables() for row in table if "number" in row):
        for column, metric in (("minival", "AP_minival"), ("test-dev", "AP_testdev")):
            if row.get(column):
                known = {e["value"] for e in published if e["row"] == row["number"] and e["metric"] == metric}
                assert known == {row[column]}, f"{row['number']} {column}"
                checked += 1
    assert checked == 29


def test_every_ap_of_the_page_is_a_published_one(published):
    """Also those of the text: whatever reads like an AP of the paper's networks."""
    known = set(re.findall(r"\d+\.\d+", " ".join(f"{e['value']} {e['note']}" for e in published)))
    text = "".join(line for line in PAGE.splitlines(keepends=True) if not line.startswith("| coco_"))
    stated = re.findall(r"(?<![\d.])(?:3[89]|4\d|5[0-4])\.\d(?!\d)", text)
    assert len(stated) > 40
    assert set(stated) <= known
