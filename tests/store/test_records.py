"""Paths, records, the frame of them, and what of reading ten thousand must not be done twice."""

import json
import os
import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import asdict, fields, replace
from pathlib import Path

import pandas as pd
import pytest
from records import evaluation, write_run

from paa import files
from paa.evaluation.coco import NUMBERS
from paa.runs import collect
from paa.store.columns import COLUMNS, name_of
from paa.store.errors import BadRecord, RunNotFound
from paa.store.frame import UnreadableRecord, scan
from paa.store.paths import RunPaths, find, runs
from paa.store.provenance import LIBRARIES, commit, hardware, origin, versions
from paa.store.record import EvaluationRecord, TrainingRecord

REPO = Path(__file__).resolve().parents[2]


def test_every_path_is_below_the_run_and_nothing_is_made(tmp_path):
    paths = RunPaths(tmp_path, "t1")
    names = ("config", "lock", "checkpoints", "weights", "metrics", "log", "record", "evals")
    every = [getattr(paths, name) for name in names] + [paths.evaluation("e1"), paths.matches("e1")]
    assert len(set(every)) == len(every)
    assert all(path.is_relative_to(tmp_path / "t1") for path in every)
    assert paths.evaluation("e1").relative_to(paths.folder) == Path("evals/e1.json")
    assert not paths.folder.exists()
    assert not paths.finished


def test_find_takes_a_unique_beginning(tmp_path):
    with pytest.raises(RunNotFound, match=r"^run=t1: no runs in .*python -m paa\.train"):
        find(tmp_path / "absent", "t1")
    for name in ("tab1", "tab12", "tac3", ".sweeps"):
        (tmp_path / name).mkdir()
    (tmp_path / "tad").touch()
    assert [run.train_id for run in runs(tmp_path)] == ["tab1", "tab12", "tac3"]
    assert find(tmp_path, "tac").train_id == "tac3"
    assert find(tmp_path, "tab1").train_id == "tab1"
    with pytest.raises(RunNotFound, match=r"^run=ta: .*3 matches: tab1, tab12, tac3"):
        find(tmp_path, "ta")
    for absent in ("x", "", "tad"):
        with pytest.raises(RunNotFound, match=r"no run in|runs in"):
            find(tmp_path, absent)


def test_records_survive_the_disk(tmp_path):
    paths = write_run(tmp_path, 1)
    training = TrainingRecord.read(paths.record)
    assert paths.finished
    assert training.config["assign"]["topk"] == 9
    training.write(paths.record)
    assert TrainingRecord.read(paths.record) == training
    one = next(iter(paths.evals.glob("*.json")))
    assert EvaluationRecord.read(one).numbers["AP50"] is not None
    assert asdict(EvaluationRecord.read(one))["numbers"]["APL"] is None


def test_a_later_version_s_extra_fields_do_no_harm(tmp_path):
    paths = write_run(tmp_path, 1)
    value = files.read_json(paths.record)
    files.write_json(paths.record, {**value, "new": 1})
    assert TrainingRecord.read(paths.record).train_id == paths.train_id


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ('{"kind": "tra', "not JSON"),
        ("[1]", "not the record of a training"),
        ('{"kind": "evaluation"}', "not the record of a training"),
        ('{"kind": "training", "schema": 99}', "schema=99"),
        ('{"kind": "training", "schema": 1, "train_id": "t1"}', "lacks config, overrides"),
        (None, "config is 3, not"),
        (b"\xff\xfe", "not JSON"),
    ],
)
def test_what_is_no_record_is_refused_by_name(tmp_path, content, message):
    path = write_run(tmp_path, 1).record
    if content is None:
        content = json.dumps({**files.read_json(path), "config": 3})
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadRecord, match=message) as caught:
        TrainingRecord.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_collect_gives_a_row_a_training_and_evaluation(tmp_path):
    write_run(tmp_path, 1)
    write_run(tmp_path, 2, evaluations=0, boundary={"_target_": "paa.assign.boundary.FSR", "t": 1, "over": "anchors"})
    write_run(tmp_path, 3, evaluations=1, boundary={"_target_": "mine.Boundary"})
    (tmp_path / "t9999999999" / "lock").mkdir(parents=True)  # at work: no record yet
    frame = collect(tmp_path)
    assert list(frame.columns) == [column.name for column in COLUMNS]
    assert len(frame) == 4
    assert frame["train_id"].tolist() == ["t0000000001", "t0000000001", "t0000000002", "t0000000003"]
    assert frame["boundary"].tolist() == ["fnp", "fnp", "fsr", "mine.Boundary"]
    assert frame["n"].iloc[0] == 3
    assert frame["t"].iloc[2] == 1.0
    assert frame["voting"].iloc[:2].tolist() == [False, True]
    assert frame["eval_id"].isna().tolist() == [False, False, True, False]
    assert frame["AP"].isna().tolist() == [False, False, True, False]
    assert frame["APL"].isna().all()
    row = frame.iloc[1]
    expected = {"recipe": "mini", "compat": "modern", "assigner": "paa", "auxiliary": "iou", "backbone": "resnet50"}
    expected |= {"data": "shapes", "topk": 9, "scale": 8.0, "seed": 0, "steps": 2500, "split": "val", "sigma_t": 0.025}
    assert {name: row[name] for name in expected} == expected


def test_columns_are_typed_even_when_empty(tmp_path):
    write_run(tmp_path, 1)
    kinds = {str: "string", int: "Int64", float: "float64", bool: "boolean"}
    for frame in (collect(tmp_path), collect(tmp_path / "absent")):
        for column in COLUMNS:
            assert frame[column.name].dtype == pd.Series([], dtype=kinds[column.kind]).dtype, column.name
            assert column.text
    assert set(NUMBERS) < set(frame.columns)


def test_a_value_of_the_wrong_kind_is_missing_and_no_crash(tmp_path):
    write_run(tmp_path, 1, boundary={"_target_": "paa.assign.boundary.FNP", "n": "many"})
    assert collect(tmp_path)["n"].isna().all()


def test_torn_and_foreign_files_are_named_and_left_out(tmp_path):
    good = write_run(tmp_path, 1)
    torn, foreign, moved = (write_run(tmp_path, i) for i in (2, 3, 4))
    torn.record.write_bytes(torn.record.read_bytes()[:100])
    foreign.record.write_text('{"hello": 1}')
    moved.folder.rename(tmp_path / "copy-of-mine")
    (good.evals / "e123.json").write_text("{")
    (good.evals / ".e5.json.aside").write_text("{")
    replace(evaluation(good.train_id, 7), eval_id="e777").write(good.evals / "e778.json")
    (tmp_path / "notes.txt").write_text("x")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = collect(tmp_path)
    assert frame["train_id"].unique().tolist() == [good.train_id]
    assert len(frame) == 2
    said = [str(w.message) for w in caught if w.category is UnreadableRecord]
    for path in (
        torn.record,
        foreign.record,
        tmp_path / "copy-of-mine",
        good.evals / "e123.json",
        good.evals / "e778.json",
    ):
        assert sum(str(path) in text for text in said) == 1, path
    assert len(said) == 5


def test_collecting_reads_each_record_once_and_makes_one_frame(tmp_path, monkeypatch):
    """What ten thousand records rest on; analysis/benchmark.py measures it."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    runs_dir = tmp_path / "runs"
    written = [write_run(runs_dir, number, evaluations=2) for number in range(20)]
    read, frames = Counter(), Counter()
    read_json, frame, series = files.read_json, pd.DataFrame.__init__, pd.Series.__init__

    def counted(path):
        read[path] += 1
        return read_json(path)

    monkeypatch.setattr(files, "read_json", counted)
    for kind, made in ((pd.DataFrame, frame), (pd.Series, series)):
        monkeypatch.setattr(
            kind, "__init__", lambda *a, kind=kind, made=made, **k: (frames.update([kind]), made(*a, **k))[1]
        )
    found = collect(runs_dir)
    of_forty = Counter(frames)
    frames.clear()
    collect(runs_dir / "none")
    monkeypatch.undo()
    assert len(found) == 40
    assert frames == of_forty  # none for a row
    assert read == Counter([p for paths in written for p in (paths.record, *paths.evals.glob("*.json"))])
    assert of_forty[pd.DataFrame] == 1


def test_collecting_composes_nothing(tmp_path):
    write_run(tmp_path, 1)
    code = "import sys; from paa.runs import collect; assert len(collect(sys.argv[1])) == 2\n"
    code += "print([m for m in ('torch', 'hydra', 'omegaconf', 'yaml') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_scan_gives_records(tmp_path):
    write_run(tmp_path, 1)
    [(paths, training, evaluations)] = scan(tmp_path)
    assert paths.train_id == training.train_id == evaluations[0].train_id


def test_origin_says_what_made_it():
    made = origin()
    assert set(made) == {"commit", "clean", "source_sha256", "versions", "hardware", "host", "resumed"}
    assert set(versions()) == {"python", *LIBRARIES}
    assert versions()["numpy"]
    assert hardware()["cpu"]
    assert hardware()["cores"] >= 1
    json.dumps(made)


GIT = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


def test_commit_is_that_of_the_code_or_unknown(tmp_path, monkeypatch):
    """In a repository of its own, with the module copied into it: tracked, changed, untracked, and no git at all."""
    import paa.store.provenance as module

    package = tmp_path / "repo" / "paa"
    (package / "runs").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(module, "__file__", str(package / "runs" / "origin.py"))
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)

    def ask():
        commit.cache_clear()
        return commit()

    def git(*arguments):
        subprocess.run(["git", "-C", str(tmp_path / "repo"), *arguments], check=True, capture_output=True)

    try:
        assert ask() == (None, None)  # no repository
        git("init")
        assert ask() == (None, None)  # not of this repository: as a package installed inside of another project
        git("add", ".")
        assert ask() == (None, None)  # no commit yet
        git("commit", "-m", "first")
        head, clean = ask()
        assert len(head) == 40
        assert clean
        (tmp_path / "repo" / "new.yaml").write_text("x")
        assert ask() == (head, False)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert ask() == (None, None)  # no git
    finally:
        commit.cache_clear()


def test_nothing_of_runs_imports_torch_or_pandas():
    names = [
        "identity",
        "lock",
        "paths",
        "record",
        "frame",
        "status",
        "identity",
        "columns",
        "provenance",
        "text_table",
    ]
    code = f"import sys\nfor name in {names}: __import__('paa.store.' + name)\n"
    code += "print([m for m in ('torch', 'pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_evaluation_record_takes_what_the_evaluation_knows():
    from types import SimpleNamespace

    own = {
        "numbers": {"AP": 1.0},
        "per_class": {"a": None},
        "iou_error": None,
        "images": 1,
        "detections": 2,
        "matched": 0,
    }
    given = asdict(evaluation("t1", 1))
    rest = {f.name: given[f.name] for f in fields(EvaluationRecord) if f.name not in own}
    record = EvaluationRecord.of(SimpleNamespace(**own, matches=None), **rest)
    assert {name: getattr(record, name) for name in own} == own


def read_choice(path):
    """The keys of a file of conf/, those of the files that it builds on first; references stay as they are."""
    import yaml

    node = yaml.safe_load(path.read_text())
    below = [name for name in node.pop("defaults", []) if isinstance(name, str) and name != "_self_"]
    return {key: value for name in below for key, value in read_choice(path.with_name(f"{name}.yaml")).items()} | node


def test_every_choice_of_conf_has_a_short_name():
    for group in ("data", "backbone", "assign", "assign.boundary", "auxiliary"):
        files_of_group = sorted((REPO / "conf" / group).glob("*.yaml"))
        assert files_of_group, group
        for path in files_of_group:
            assert name_of(read_choice(path)) == {"c": "paa"}.get(path.stem, path.stem), path


def test_a_foreign_choice_is_named_in_full():
    assert name_of({"_target_": "paa.detector.ResNet", "depth": 50, "dcn_stages": [5]}) == "resnet50_dcn"
    assert name_of({"_target_": "mine.Boundary"}) == "mine.Boundary"
    assert name_of(None) is name_of({}) is None
