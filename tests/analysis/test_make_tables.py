"""The table of all that has been run."""

import csv
import importlib.util
import io
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests" / "runs"))
from records import write_run  # noqa: E402


@pytest.fixture(scope="module")
def make_tables():
    spec = importlib.util.spec_from_file_location("make_tables", REPO / "analysis" / "make_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def runs_dir(tmp_path):
    write_run(tmp_path, 1, boundary={"_target_": "paa.assign.boundary.FSR", "t": 0.3, "over": "anchors"})
    write_run(tmp_path, 2, boundary={"_target_": "paa.assign.boundary.FNP", "n": 10})
    write_run(tmp_path, 3, boundary={"_target_": "paa.assign.boundary.FNP", "n": 3})
    write_run(tmp_path, 4, boundary={"_target_": "paa.assign.boundary.C"}, evaluations=0)
    return tmp_path


def test_a_row_a_run_in_a_sensible_order(make_tables, runs_dir, capsys):
    assert make_tables.main(["--runs-dir", str(runs_dir)]) == 0
    lines = capsys.readouterr().out.splitlines()
    header = lines[0].split()
    assert header[:2] == ["assigner", "boundary"]
    assert header[-1] == "train_id"
    assert {"n", "t", "AP", "iou_error", "split", "voting"} < set(header)
    assert not {"recipe", "topk", "n_end", "commit"} & set(header)  # alike in all rows, or in none
    assert len(lines) == 1 + 7
    ids = [line.split()[-1] for line in lines[1:]]
    fnp3, fnp10, fsr, paa = "t0000000003", "t0000000002", "t0000000001", "t0000000004"
    assert ids == [paa, fnp3, fnp3, fnp10, fnp10, fsr, fsr]
    assert "41.0" in lines[2]
    assert "0.090" in lines[2]
    assert "nan" not in " ".join(lines).lower()
    assert "NA" not in " ".join(lines)


def test_markdown_and_csv(make_tables, runs_dir, capsys):
    assert make_tables.main(["--runs-dir", str(runs_dir), "--format", "md"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 7
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
    assert make_tables.main(["--runs-dir", str(runs_dir), "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 7
    assert rows[1]["weights_sha256"] == "d" * 64
    assert float(rows[1]["wall_s"]) == 400.5
    assert rows[0]["AP"] == ""


def test_columns_appear_where_rows_differ(make_tables, runs_dir, capsys):
    write_run(runs_dir, 5, recipe={"name": "smoke"})
    make_tables.main(["--runs-dir", str(runs_dir)])
    assert "recipe" in capsys.readouterr().out.splitlines()[0].split()


def test_nothing_run_says_what_to_run(make_tables, tmp_path, capsys):
    assert make_tables.main(["--runs-dir", str(tmp_path / "absent")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "No finished run in" in err
    assert "python -m paa.train -m assign.boundary=fnp,fsr,paa" in err


def test_a_torn_record_is_named_and_the_rest_printed(make_tables, runs_dir, capsys):
    (runs_dir / "t0000000001" / "record.json").write_text("{")
    assert make_tables.main(["--runs-dir", str(runs_dir)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 + 5
    assert "warning:" in err
    assert "t0000000001/record.json: not JSON" in err


def test_published_values_are_read_as_written():
    with (REPO / "analysis" / "published.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"table", "row", "metric", "value", "note", "source"}
    assert len(rows) == 285
    assert all(row["source"] for row in rows)
