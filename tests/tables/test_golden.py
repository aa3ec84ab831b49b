"""Tables and claims of the made runs as golden/ holds them, and what each format promises."""

import csv
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from freeze_golden import GOLDEN, written

from paa.tables.model import AP, Metric
from paa.tables.sheet import decimal, mean_and_sd, signed


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return written(tmp_path_factory.mktemp("runs"))


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir() if path.suffix != ".csv"))
def test_text_is_unchanged(texts, name):
    assert texts[name] == (GOLDEN / name).read_text(encoding="utf-8")


def test_numbers_are_unchanged(texts):
    """Except for their last digits, which another processor may round differently."""
    found, wanted = rows(texts["table1.csv"]), rows((GOLDEN / "table1.csv").read_text("utf-8"))
    assert len(found) == len(wanted) > 10
    for ours, theirs in zip(found, wanted, strict=True):
        for one, other in zip(ours.values(), theirs.values(), strict=True):
            try:
                assert [float(w) for w in one.split()] == pytest.approx([float(w) for w in other.split()], abs=1e-9)
            except ValueError:
                assert one == other


def test_csv_has_all_seeds_and_no_number_that_was_not_measured(texts):
    found = rows(texts["table1.csv"])
    for row in found:
        assert (row["mean"] == "") == (row["n"] == "0")
        assert (row["sd"] == "") == (row["n"] in ("0", "1"))
        assert len(row["values"].split()) == int(row["n"])
    by_row = {row["row"]: row for row in found if row["metric"] == "AP"}
    partly = [by_row["fnp_5"][name] for name in ("n", "wanted", "seeds", "missing")]
    assert partly == ["1", "2", "0", "seed 1: interrupted at step 12 of 30"]
    assert [by_row["fsr_0.1"][name] for name in ("mean", "missing", "difference")] == ["", "missing", ""]
    assert by_row["fsr_0.3"]["published"] == "fails"
    values = [float(v) for v in by_row["paa"]["values"].split()]
    assert float(by_row["paa"]["mean"]) == pytest.approx(sum(values) / 2)
    assert float(by_row["paa"]["sd"]) == pytest.approx(abs(values[0] - values[1]) / 2**0.5)


def test_claims_as_csv_have_all_digits_of_each_comparison(texts):
    found = rows(texts["claims.csv"])
    assert {row["claim"] for row in found} == {str(number) for number in range(1, 10)}
    decided = next(row for row in found if row["difference"])
    assert float(decided["difference"]) == pytest.approx(sum(map(float, decided["by_seed"].split())) / 2)
    assert decided["paired_seeds"] == "0 1"
    assert next(row for row in found if row["comparison"] == "K 15 − K 9")["why"] == "K 15: missing"


def test_markdown_rows_have_as_many_cells_as_their_heading(texts):
    for table in re.findall(r"(?:^\|.*\n)+", texts["sheet.md"], flags=re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


class Tags(HTMLParser):
    """Open elements, ids and links of a page."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.outside = [], set(), set(), []

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        if tag != "meta":
            self.open.append(tag)
        self.ids |= {known["id"]} if "id" in known else set()
        self.links |= {known["href"]} if tag == "a" else set()
        self.outside += [v for k, v in attributes if k in ("src", "srcset")] + ([tag] if tag == "link" else [])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_complete_and_needs_no_other_file(texts):
    page = Tags()
    page.feed(texts["sheet.html"])
    assert page.open == page.outside == []
    assert {link[1:] for link in page.links if link.startswith("#")} == page.ids - {"table1"}
    assert "https://arxiv.org/abs/2007.08103" in page.links
    assert "https://github.com/kkhoot/PAA/issues/2" in page.links
    assert not re.search(r"@import|url\(", texts["sheet.html"])


def test_latex_compiles(texts, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex here: Debian's texlive-latex-recommended and texlive-latex-base have it")
    (tmp_path / "sheet.tex").write_text(texts["sheet.tex"], encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "sheet.tex"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, errors="replace")
    assert ended.returncode == 0, ended.stdout[-2000:]
    assert "Overfull \\hbox" not in ended.stdout


def test_numbers_as_they_are_printed():
    assert mean_and_sd([1.0, 2.0, 6.0], AP) == "3.0 ± 2.6"  # the square root of (2 ** 2 + 1 + 3 ** 2) / (3 - 1)
    assert mean_and_sd([39.84], AP) == "39.8"
    assert mean_and_sd([0.0858, 0.0888], Metric("iou_error", "", 3)) == "0.087 ± 0.002"
    assert [signed(v) for v in (0.26, -0.26, 0.01, -0.01)] == ["+0.3", "−0.3", "0.0", "0.0"]
    assert decimal(-0.04, 1) == "0.0"
