"""The benchmark: that both ways compute the same. How fast they are is no test's business."""

from __future__ import annotations

import pytest
import torch
from analysis_scripts import script


@pytest.fixture(scope="module")
def benchmark():
    pytest.importorskip("sklearn")
    return script("benchmark")


def test_both_ways_compute_the_same(benchmark, tmp_path):
    fit, mixtures, at_once, focal, voting, records = benchmark.cases(small=True, folder=tmp_path)
    assert (fit.ours() - fit.plain()).abs().max() < 1e-9
    for case in (mixtures, at_once):
        ours, plain = case.ours(), case.plain()
        assert (ours >= 0).any()
        assert (ours == plain).all()
        assert case.differ(ours, plain) == f"0 of {ours.numel()} anchors"
    assert torch.allclose(focal.ours(), focal.plain(), rtol=1e-5, atol=1e-7)
    assert (voting.ours() - voting.plain()).abs().max() < 1e-3
    assert (voting.ours() - benchmark.voters(10, 60)[0]).abs().max() > 0.1  # it moves boxes at all
    frame = records.ours()
    assert frame["AP"].tolist() == [0, 1, 2, 3, 4]
    assert records.differ(frame, records.plain()) == "0 cells"
    assert records.differ(frame, frame.assign(AP=-1.0)) == "5 cells"


@pytest.mark.parametrize("kind", ["text", "md", "csv"])
def test_a_row_for_each_case(benchmark, capsys, kind):
    assert benchmark.main(["--small", "--rounds", "1", "--format", kind]) == 0
    out = capsys.readouterr().out
    assert "fit of the mixtures" in out
    assert out.count("0 of ") == 2
    for name in benchmark.HEAD:
        assert name in out


def test_what_cannot_be_is_refused_in_one_line(benchmark, capsys):
    with pytest.raises(SystemExit) as ended:
        benchmark.main(["--rounds", "0"])
    assert ended.value.code == 2
    assert "--rounds: 0: must be an integer from 1" in capsys.readouterr().err
