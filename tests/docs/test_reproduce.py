"""Published figures in docs/reproduce.md are those of analysis/published.csv, and all of them."""

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
    """Return the tables of the page; a row is {column: cell}."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", PAGE, re.M):
        head, _, *rows = ([cell.strip() for cell in line.strip("| ").split("|")] for line in block.splitlines())
        found.append([dict(zip(head, [*row, *[""] * (len(head) - len(row))], strict=True)) for row in rows])
    return found


COLUMNS = {"minival": "AP_minival", "test-dev": "AP_testdev"}
"""Columns of the page that have another name than the metric; `number` or `published` is the row."""


def figures() -> set[tuple[str, str, str]]:
    """Return (row, metric, cell) of each figure in the page's tables."""
    return {
        (row.get("number") or row["published"], COLUMNS.get(column, column), cell)
        for table in tables()
        for row in table
        if {"number", "published"} & row.keys()
        for column, cell in row.items()
        if column not in ("number", "published", "recipe", "keys", "rows") and cell not in ("", "not public")
    }


def cell_of(entry: dict[str, str]) -> str:
    """Return the number, or the note in place of it, without its remark."""
    return entry["value"] or entry["note"].split(" (")[0]


def test_each_figure_of_the_page_is_published_and_each_published_one_is_on_the_page(published):
    known = {(e["row"], e["metric"], cell_of(e)) for e in published}
    assert len(known) > 250
    assert figures() - known == set()
    assert known - figures() == set()


def test_rows_of_tables_are_those_of_experiments():
    named = {tuple(found.split("=")) for found in re.findall(r"`(table\w+=[\w.]+)`", PAGE)}
    assert len(named) > 30
    here = {(path.parent.name, path.stem) for path in (REPO / "experiments").glob("table*/*.yaml")}
    assert named - here == set()
    published = {row for row in here if row[0] == "table3" or re.match(r"table2 (max_iou|atss|paa)_", " ".join(row))}
    assert published - named == set()


def test_numbers_that_are_not_public_are_not_listed(published):
    """A cell "not public" has no number in analysis/published.csv."""
    gaps = [
        (row["published"], column)
        for table in tables()
        for row in table
        for column, cell in row.items()
        if cell == "not public"
    ]
    assert len(gaps) > 10
    known = {(e["row"], e["metric"]) for e in published}
    assert not known & set(gaps)


def test_every_ap_of_the_page_is_a_published_one(published):
    """Also those within the text."""
    known = set(re.findall(r"\d+\.\d+", " ".join(f"{e['value']} {e['note']}" for e in published)))
    text = "".join(line for line in PAGE.splitlines(keepends=True) if not line.startswith("| coco_"))
    stated = re.findall(r"(?<![\d.])(?:3[89]|4\d|5[0-4])\.\d(?!\d)", text)
    assert len(stated) > 40
    assert set(stated) <= known
