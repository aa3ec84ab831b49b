"""The scripts that print tables and claims: all records, the tables of real runs, and what they refuse."""

import csv
import io

import pytest
from analysis_scripts import script
from records import write_run
from running import TINY, call

from paa.planning.rows import rows_of
from paa.store import keys
from paa.store.frame import scan

make_tables, claims = script("make_tables"), script("claims")


@pytest.fixture
def records_dir(tmp_path):
    write_run(tmp_path, 1, boundary={"_target_": "paa.assign.boundary.FSR", "t": 0.3, "over": "anchors"})
    write_run(tmp_path, 2, boundary={"_target_": "paa.assign.boundary.FNP", "n": 10})
    write_run(tmp_path, 3, boundary={"_target_": "paa.assign.boundary.FNP", "n": 3})
    write_run(tmp_path, 4, boundary={"_target_": "paa.assign.boundary.C"}, evaluations=0)
    return tmp_path


def test_a_row_a_run_in_a_sensible_order(records_dir, capsys):
    assert make_tables.main(["--table", "records", "--runs-dir", str(records_dir)]) == 0
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


def test_records_as_markdown_and_csv(records_dir, capsys):
    command = ["--table", "records", "--runs-dir", str(records_dir), "--format"]
    assert make_tables.main([*command, "md"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 7
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
    assert make_tables.main([*command, "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 7
    assert rows[1]["weights_sha256"] == "d" * 64
    assert float(rows[1]["wall_s"]) == 400.5
    assert rows[0]["AP"] == ""
    assert make_tables.main([*command, "html"]) == 2
    assert "text, md, csv" in capsys.readouterr().err


def test_columns_appear_where_rows_differ(records_dir, capsys):
    write_run(records_dir, 5, recipe={"name": "smoke"})
    make_tables.main(["--table", "records", "--runs-dir", str(records_dir)])
    assert "recipe" in capsys.readouterr().out.splitlines()[0].split()


@pytest.mark.parametrize("main", [make_tables.main, claims.main])
def test_without_runs_the_exit_code_is_1_and_a_command_is_proposed(main, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "absent"):
        assert main(["--runs-dir", str(folder)]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert f"python -m paa.train -m assign.boundary=fnp,fsr,paa runs_dir={folder}" in err


@pytest.mark.parametrize("main", [make_tables.main, claims.main])
def test_an_unknown_recipe_is_refused(main, records_dir, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--runs-dir", str(records_dir), "--recipe", "nope"])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert "--recipe nope: " in err
    assert "coco_1.5x, coco_1x, coco_2x, mini, smoke" in err


def test_a_torn_record_is_named_and_the_rest_printed(records_dir, capsys):
    (records_dir / "t0000000001" / "record.json").write_text("{")
    assert make_tables.main(["--table", "records", "--runs-dir", str(records_dir)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 + 5
    assert "warning:" in err
    assert "t0000000001/record.json: not JSON" in err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--table", "5"], "5: "),
        (["--table", "1,records"], "records: "),
        (["--format", "pdf"], "pdf: "),
        (["--seeds", "a"], "a: "),
        (["--resamples", "0"], "0: "),
        (["schedule.steps"], "schedule.steps: "),
        (["recipe=smoke"], "--recipe"),
        (["seed=1"], "--seeds"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_read(words, problem, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        make_tables.main([*words, "--runs-dir", str(tmp_path / "absent")])
    assert end.value.code == 2
    assert problem in capsys.readouterr().err


STEPS = "schedule.steps=4"


@pytest.fixture(scope="module")
def real(tmp_path_factory, smoke_data):
    """Runs of recipe=smoke with the network of TINY: two rows of Table 1, each with two seeds."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "runs").mkdir()
    (folder / "runs" / ".data").symlink_to(smoke_data)
    return folder


@pytest.fixture
def few(monkeypatch):
    """Some rows of each group stand for all: every row is composed under every recipe elsewhere."""
    rows = {
        "table1": "a,c,fnp_3,fsr_0.3,paa",
        "table2": "paa_iou",
        "table2_right": "resnet50",
        "table3": "resnet101,resnext152_32x8d_dcn",
        "table4": "topk_3",
    }

    def some(table, words, **more):
        return rows_of(f"{table}={rows[table]}", words, **more)

    monkeypatch.setattr("paa.planning.collect.rows_of", some)


@pytest.fixture
def trained(real, monkeypatch, few, capsys):
    monkeypatch.chdir(real)
    if not (real / "done").exists():
        words = (*TINY, "workers=0", STEPS, "seed=0,1")
        ended = call(capsys, "paa.train", "-m", *words, "table1=c,fnp_3")
        assert ended.code == 0, ended.err
        (real / "done").touch()
    return real


SETTINGS = (*TINY[1:], STEPS)


def table1(capsys, *more):
    assert make_tables.main(["--table", "1", "--recipe", "smoke", "--resamples", "50", *more, *SETTINGS]) == 0
    return capsys.readouterr()


def test_rows_find_their_runs_by_what_they_come_to(trained, capsys):
    rows = list(csv.DictReader(io.StringIO(table1(capsys, "--format", "csv").out)))
    ap = {row["row"]: row for row in rows if row["metric"] == "AP"}
    recorded = {}
    for _, training, evaluations in scan(trained / "runs"):
        boundary = keys.get(training.config, "assign.boundary._target_").split(".")[-1]
        plain = next(e for e in evaluations if not e.voting)
        recorded.setdefault(boundary, {})[training.seed] = plain.numbers["AP"]
    for row, boundary in {"c": "C", "paa": "C", "fnp_3": "FNP"}.items():
        assert ap[row]["seeds"] == "0 1"
        assert [float(v) for v in ap[row]["values"].split()] == pytest.approx(list(recorded[boundary].values()))
    assert {ap[row]["missing"] for row in ("a", "fsr_0.3")} == {"missing"}
    assert ap["fnp_3"]["reference"] == "paa"
    theirs = [recorded["FNP"][seed] - recorded["C"][seed] for seed in (0, 1)]
    assert float(ap["fnp_3"]["difference"]) == pytest.approx(sum(theirs) / 2, abs=1e-9)
    assert ap["c"]["difference"] == ""


def test_formats_go_to_files_or_one_after_the_other(trained, capsys, tmp_path):
    out = table1(capsys, "--format", "md,latex").out
    assert out.index("### Table 1. Anchor separation") < out.index(r"\documentclass") < out.index(r"\end{document}")
    told = table1(capsys, "--format", "md,csv,latex,html,text", "--out", str(tmp_path / "new"))
    assert told.out.splitlines()[0] == str(tmp_path / "new" / "table1.md")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        *("table1.csv", "table1.html", "table1.md", "table1.tex", "table1.txt"),
    ]
    assert (tmp_path / "new" / "table1.md").read_text() in out


def test_other_settings_are_other_rows_and_the_runs_that_there_are_are_named(trained, capsys):
    assert make_tables.main(["--table", "1", "--recipe", "smoke"]) == 0
    out, err = capsys.readouterr()
    assert "No row of a table has been run with recipe=smoke." in err
    assert f"Runs of this recipe that were asked for with {' '.join(SETTINGS)}: 4" in err
    assert "missing" in out
    assert make_tables.main([]) == 0
    out, err = capsys.readouterr()
    assert "Runs of other recipes: --recipe smoke (4)" in err
    assert len(out.splitlines()) == 1 + 4 * 2  # all records


def test_claims_of_runs_that_have_learned_nothing_are_left_open(trained, capsys):
    assert claims.main(["--recipe", "smoke", "--resamples", "50", "--format", "csv", *SETTINGS]) == 0
    out, err = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {row["claim"] for row in rows} == set("123456789")
    assert {row["claim_verdict"] for row in rows} == {"not enough data"}
    one = next(row for row in rows if row["comparison"] == "PAA − FNP (3)")
    assert "has not learned enough" in one["why"]
    assert one["difference"] != ""
    assert "table2_right is left out: backbone.widths: no such key" in err


def test_rows_of_data_that_are_elsewhere_show_what_is_published(few, tmp_path, capsys):
    command = ["--table", "3", "--recipe", "coco_2x", "--runs-dir", str(tmp_path)]
    assert make_tables.main([*command, "data.split=test-dev"]) == 0
    out, err = capsys.readouterr()
    assert "No row of a table has been run with recipe=coco_2x" in err
    (line,) = (line for line in out.splitlines() if line.startswith("PAA ResNet-101 "))
    assert "missing" in line
    assert "split test-dev" in out
    assert "53.5" in out
    assert "warning: table3=resnext152_32x8d_dcn is left out: " in err
