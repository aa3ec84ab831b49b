"""The tables and claims of made runs in every format, as golden/ holds them."""

import csv
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from freeze_golden import GOLDEN, written


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return written(tmp_path_factory.mktemp("runs"))


def names(ending):
    return sorted(path.name for path in GOLDEN.glob(f"*.{ending}"))


@pytest.mark.parametrize("name", [n for e in ("txt", "md", "tex", "html") for n in names(e)])
def test_text_is_as_it_was(texts, name):
    assert texts[name] == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", names("csv"))
def test_numbers_are_as_they_were(texts, name):
    """Numbers but for the last digits, which another processor may round otherwise."""
    found, wanted = (list(csv.reader(io.StringIO(t))) for t in (texts[name], (GOLDEN / name).read_text("utf-8")))
    assert len(found) == len(wanted) > 10
    for ours, theirs in zip(found, wanted, strict=True):
        assert len(ours) == len(found[0])
        for one, other in zip(ours, theirs, strict=True):
            try:
                assert [float(w) for w in one.split()] == pytest.approx([float(w) for w in other.split()], abs=1e-9)
            except ValueError:
                assert one == other


def test_all_formats_are_there(texts):
    assert set(texts) == {
        f"{what}.{end}" for what in ("tables", "claims") for end in ("txt", "md", "csv", "tex", "html")
    }
    assert set(texts) == {path.name for path in GOLDEN.iterdir()}


def test_no_number_stands_where_nothing_was_measured(texts):
    rows = list(csv.DictReader(io.StringIO(texts["tables.csv"])))
    for row in rows:
        assert (row["mean"] == "") == (row["n"] in ("", "0"))
        assert (row["sd"] == "") == (row["n"] in ("", "0", "1"))
        assert len(row["values"].split()) == int(row["n"] or 0)
    unfinished = [row for row in rows if row["row"] == "fnp_5" and row["metric"] == "AP"]
    assert [(r["n"], r["wanted"], r["seeds"], r["missing"]) for r in unfinished] == [
        ("1", "2", "0", "seed 1: stopped at step 12 of 30")
    ]
    absent = [row for row in rows if row["row"] == "fsr_0.1"]
    assert {(row["mean"], row["missing"], row["difference"]) for row in absent} == {("", "not run", "")}
    one = next(row for row in rows if row["row"] == "paa" and row["metric"] == "AP")
    values = [float(v) for v in one["values"].split()]
    assert float(one["mean"]) == pytest.approx(sum(values) / 2)
    assert float(one["sd"]) == pytest.approx(abs(values[0] - values[1]) / 2**0.5)


def test_markdown_rows_have_as_many_cells_as_their_heads(texts):
    for name in names("md"):
        for table in re.findall(r"(?:^\|.*\n)+", texts[name], flags=re.M):
            lines = table.splitlines()
            counts = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
            assert len(counts) == 1, lines[0]
            assert re.fullmatch(r"\|(?: :?--:? \|| :-- \|| --: \|)+", lines[1])


class Tags(HTMLParser):
    """Open elements, ids and links of a page."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.outside = [], set(), set(), []

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        if tag not in ("meta",):
            self.open.append(tag)
        if "id" in known:
            assert known["id"] not in self.ids
            self.ids.add(known["id"])
        if tag == "a":
            self.links.add(known["href"])
        self.outside += [v for k, v in attributes if k in ("src", "srcset")] + ([tag] if tag == "link" else [])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", names("html"))
def test_html_is_whole_and_needs_no_other_file(texts, name):
    page = Tags()
    page.feed(texts[name])
    assert page.open == []
    assert page.outside == []
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert "prefers-color-scheme: dark" in texts[name]
    assert "@import" not in texts[name]
    assert "url(" not in texts[name]


@pytest.mark.parametrize("name", names("tex"))
def test_latex_compiles(texts, name, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex here: Debian's texlive-latex-recommended and texlive-latex-base have it")
    (tmp_path / name).write_text(texts[name], encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", name]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, errors="replace")
    assert ended.returncode == 0, ended.stdout[-2000:]
    assert (tmp_path / name).with_suffix(".pdf").stat().st_size > 10_000
    assert "Overfull \\hbox" not in ended.stdout
