"""Signs that each format must not take for its own."""

import pytest

from paa.tables.entries import Summary
from paa.tables.formats import WRITERS
from paa.tables.formats import latex as tex
from paa.tables.formats import markdown as md
from paa.tables.model import AP, Metric
from paa.tables.sheet import Block, Cell, Sheet, signed, signless, written


def one_cell(text, **more):
    return [Sheet("table1", "T", (Block("", ("a",), ((Cell(text, **more),),), (False,)),))]


def test_latex_escapes_what_it_would_act_upon():
    assert tex.escape(r"50% of a_b & #1 {x} $ ~ ^ \ < >") == (
        r"50\% of a\_b \& \#1 \{x\} \$ \textasciitilde{} \textasciicircum{} \textbackslash{} $<$ $>$"
    )
    assert tex.escape("−0.1 ± 2 × Δ “q” –") == r"$-$0.1 $\pm$ 2 $\times$ $\Delta$ ``q'' --"
    assert "{}[1, 2]" in tex.write(one_cell("[1, 2]"))


def test_markdown_escapes_what_it_would_act_upon():
    assert md.escape("a|b *c* _d_ <e> [f] `g`") == r"a\|b \*c\* \_d\_ \<e\> \[f\] \`g\`"
    assert r"| **4\|1**<sup>2</sup> |" in md.write(one_cell("4|1", best=True, notes=(2,)))


def test_html_escapes_what_it_would_act_upon():
    page = WRITERS["html"](one_cell("<b> & co", quiet=True))
    assert '<td class="quiet">&lt;b&gt; &amp; co</td>' in page
    assert "<b>" not in page


def test_html_links_sources():
    sheets = [Sheet("table1", "T", (), notes=("arXiv 2007.08103 sec 4.2; github.com/kkhoot/PAA/issues/2 (2020)",))]
    page = WRITERS["html"](sheets)
    assert '<a href="https://arxiv.org/abs/2007.08103">arXiv 2007.08103</a> sec 4.2' in page
    assert '<a href="https://github.com/kkhoot/PAA/issues/2">github.com/kkhoot/PAA/issues/2</a> (2020)' in page


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_a_table_without_anything_is_written(kind):
    assert "Empty" in WRITERS[kind]([Sheet("table4", "Empty", (Block("", ("a", "b"), (), (False, True)),))])


def test_numbers_as_they_are_printed():
    assert written(Summary(39.84, 0.151, 3), AP) == "39.8 ± 0.2"
    assert written(Summary(39.84, None, 1), AP) == "39.8"
    assert written(Summary(0.0873, 0.0021, 2), Metric("iou_error", "", 3)) == "0.087 ± 0.002"
    assert [signed(v) for v in (0.26, -0.26, 0.01, -0.01)] == ["+0.3", "−0.3", "0.0", "0.0"]
    assert signless("-0.0") == "0.0"
