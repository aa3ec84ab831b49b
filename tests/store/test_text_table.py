"""Text tables: alignment, short rows, rules, Markdown and CSV."""

import sys

from paa.store.text_table import aligned, comma_separated, markdown, show, written

HEADER = ["name", "x", "yes", "no"]
ROWS = [["a|b", 1.0, True, None], ["c", 22.25, False, float("nan")]]


def test_numbers_are_aligned_to_the_right():
    assert aligned(HEADER, ROWS) == "name      x  yes  no\na|b       1  yes\nc     22.25  no\n"
    assert aligned(HEADER, ROWS, {"x": 1}).splitlines()[2] == "c     22.2  no"
    assert aligned(["a", "b"], []) == "a  b\n"


def test_a_short_row_ends_in_free_text_that_does_not_widen_a_column():
    text = aligned(["run", "split", "AP"], [["t1", "val", 7.5], ["t22", "failed: disk full"]])
    assert text == "run  split   AP\nt1   val    7.5\nt22  failed: disk full\n"


def test_alignment_and_rules_can_be_set():
    text = aligned(["a", "AP"], [["x", "1 ± 2"], ["y", "–"]], right=[False, True], rules={0, 1})
    assert text == "a     AP\n-  -----\nx  1 ± 2\n-  -----\ny      –\n"


def test_markdown_and_csv():
    assert markdown(HEADER, ROWS).splitlines()[1:3] == ["| --- | --: | --- | --- |", "| a\\|b | 1 | yes |  |"]
    assert comma_separated(HEADER, ROWS) == "name,x,yes,no\na|b,1.0,yes,\nc,22.25,no,\n"
    assert written("md", HEADER, ROWS, title="T").startswith("T\n\n| name |")
    assert written("csv", HEADER, ROWS, title="T").startswith("name,")


def test_on_a_terminal_the_table_is_drawn(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    show(["name", "x"], [["[red]plain[/red]", 1.5]])
    out = capsys.readouterr().out
    assert "[red]plain[/red]" in out
    assert "1.5" in out
