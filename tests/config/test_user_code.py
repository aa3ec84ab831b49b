"""docs/own-boundary.md as it is written: its files in a folder outside of the checkout, its commands run there."""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from running import SHORT, TINY, call

from paa.planning.rows import rows_of
from paa.runs import collect
from paa.store.code_digest import source_digests
from paa.tables.entries import entries
from paa.tables.layout import table1
from paa.tables.published import Published

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests" / "docs"))

from pages import commands, write_files  # noqa: E402 - beside the tests of the documentation

PAGE = REPO / "docs" / "own-boundary.md"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory, smoke_data):
    """A folder with my/ as the page has it, and the small data sets."""
    folder = tmp_path_factory.mktemp("own")
    write_files(PAGE, folder)
    (folder / "runs").mkdir()
    (folder / "runs" / ".data").symlink_to(smoke_data)
    return folder


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """Each test finds modules of one's own anew, and leaves Python's path as it was."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    source_digests.cache_clear()
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "my"]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def command(*begins: str) -> list[str]:
    """The words of the first command of the page that begin so."""
    for one in commands(PAGE):
        if one.words[: len(begins)] == list(begins):
            return one.words
    raise AssertionError(f"docs/own-boundary.md has no command {' '.join(begins)}")


def run(folder: Path, words: list[str], *more: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    program = {"python": sys.executable, "paa-train": str(BIN / "paa-train"), "paa-evaluate": str(BIN / "paa-evaluate")}
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    every = [program[words[0]], *words[1:], *more]
    done = subprocess.run(every, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
    return done


def by_boundary(folder: Path) -> dict[str, set[str]]:
    frame = collect(folder / "runs")
    return {str(name): set(rows) for name, rows in frame.groupby("boundary")["train_id"]}


@pytest.fixture(scope="module")
def swept(folder):
    """The page's sweep, by the installed command: what it has run."""
    words = command("python", "-m", "paa.train")
    assert words[-1] == "assign.boundary=gap,paa"
    if not (BIN / "paa-train").exists():
        pytest.skip(f"no paa-train in {BIN}")
    run(folder, ["paa-train", *words[3:]], *SHORT)
    return by_boundary(folder)


def test_it_is_swept_beside_paa_with_an_identity_of_its_own(swept):
    assert {name: len(ids) for name, ids in swept.items()} == {"my.gap.Gap": 1, "paa": 1}
    assert not swept["my.gap.Gap"] & swept["paa"]


def test_the_table_shows_both(inside, swept, capsys):
    words = command("python", "analysis/make_tables.py")
    spec = importlib.util.spec_from_file_location("make_tables", REPO / words[1])
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.main(words[2:]) == 0
    shown = capsys.readouterr().out.splitlines()
    head = shown[0].split()
    page = [line.split() for line in PAGE.read_text().splitlines() if line.startswith("    assigner  boundary ")]
    assert page[0] == [name for name in head if name in page[0]]
    rows = {line.split()[-1]: line for line in shown[1:]}
    assert set(rows) == swept["my.gap.Gap"] | swept["paa"]
    assert " my.gap.Gap  assign.boundary.within=0.5 " in rows[next(iter(swept["my.gap.Gap"]))]


def test_it_is_a_row_of_table_1_where_it_has_a_file_there(inside, swept):
    (inside / "my" / "conf" / "table1").mkdir()
    row = "# @package _global_\ndefaults:\n  - override /assign.boundary: gap\n"
    (inside / "my" / "conf" / "table1" / "gap.yaml").write_text(row)
    rows = rows_of("table1=gap,paa", ["recipe=smoke", *TINY[1:], "schedule.steps=4"], config_dir="my/conf").all
    assert {row.name: row.train_id for row in rows}["gap"] in swept["my.gap.Gap"]
    assert {row.name: row.train_id for row in rows}["paa"] in swept["paa"]
    (right,) = (
        p
        for p in table1(entries(rows), Published.read(Path(__file__).parents[2] / "analysis" / "published.csv")).parts
        if p.name == "right"
    )
    assert [(line.stub, line.scores.missing()) for line in right.lines] == [(("gap",), ""), (("PAA",), "")]


def test_the_check_of_the_page_says_nothing_is_wrong(inside):
    exec(compile(command("python", "-c")[2], str(PAGE), "exec"), {})
    own = runpy.run_path(str(inside / "my" / "test_gap.py"))
    (marks,) = own["test_gap_is_a_valid_boundary"].pytestmark
    for within in marks.args[1]:
        own["test_gap_is_a_valid_boundary"](within)


def test_what_is_finished_trains_nothing_and_an_edit_is_another_run(inside, swept, capsys):
    words = command("python", "-m", "paa.train")
    again = call(capsys, words[2], *words[3:], *SHORT)
    assert again.out.count("already finished, reusing its results") == 2
    assert "trains on" not in again.out
    source = inside / "my" / "gap.py"
    before = source.read_text()
    try:
        source.write_text(before.replace("* steps", "* (steps - 1)"))
        assert source.read_text() != before
        edited = run(inside, words, *SHORT)
        assert edited.stdout.count("already finished, reusing its results") == 1
        assert {name: len(ids) for name, ids in by_boundary(inside).items()} == {"my.gap.Gap": 2, "paa": 1}
        (name,) = swept["my.gap.Gap"]
        refused = run(inside, ["paa-evaluate", f"run={name}"], code=2)
        assert refused.stderr.startswith(f"paa.evaluate: run={name}: _target_=my.gap.Gap: its code has changed")
    finally:
        source.write_text(before)


def test_it_is_evaluated_and_predicts(inside, swept, capsys):
    (name,) = swept["my.gap.Gap"]
    words = [f"run={name}" if word == "run=ID" else word for word in command("python", "-m", "paa.evaluate")]
    done = run(inside, ["paa-evaluate", *words[3:]], "workers=0")
    assert f"{name}  val, voting on: AP" in done.stdout
    (inside / "photos").mkdir()
    Image.new("RGB", (64, 64), "white").save(inside / "photos" / "a.png")
    told = {"run=ID": f"run={name}", "images=DIR": "images=photos"}
    words = [told.get(word, word) for word in command("python", "-m", "paa.predict")]
    assert call(capsys, words[2], *words[3:], "workers=0").code == 0
    assert isinstance(json.loads((inside / "found" / "detections.json").read_text()), list)


def test_an_own_assigner_trains(inside, swept, capsys):
    (words,) = [one.words for one in commands(PAGE) if "assign=near,paa" in one.line]
    done = call(capsys, words[2], *words[3:], *SHORT)
    assert done.code == 0, done.err
    assert "assign=near" in done.out
    assert "my.near.Near" in set(collect(inside / "runs")["assigner"])


def test_from_elsewhere_the_line_says_where_modules_are_looked_for(folder, swept, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (name,) = swept["my.gap.Gap"]
    done = call(capsys, "paa.evaluate", f"run={name}", f"runs_dir={folder / 'runs'}")
    assert done.code == 2
    assert done.err.startswith(f"paa.evaluate: run={name}: _target_=my.gap.Gap: ")
    assert "PYTHONPATH" in done.err


BROKEN = {
    "import torch": ("import torhc", "assign.boundary._target_=my.gap.Gap: cannot be imported: ModuleNotFoundError: "),
    "within: float": ("within float", "assign.boundary._target_=my.gap.Gap: cannot be imported: SyntaxError: "),
    'number("within"': ('numbr("within"', "assign.boundary: my.gap.Gap cannot be built: AttributeError: "),
    "valid.sum(1": ("vald.sum(1", "assign.boundary: Gap raises on ordinary candidates, scores [16, 45], progress 0: "),
}


@pytest.mark.parametrize("good", BROKEN)
def test_an_error_within_shows_its_traceback_and_its_line(good, folder, tmp_path, capsys, monkeypatch):
    bad, message = BROKEN[good]
    source = (folder / "my" / "gap.py").read_text()
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "gap.py").write_text(source.replace(good, bad))
    line = 1 + source[: source.index(good)].count("\n")
    monkeypatch.chdir(tmp_path)
    ended = call(capsys, "paa.train", "--config-dir", str(folder / "my" / "conf"), "assign.boundary=gap")
    *trace, last = ended.err.splitlines()
    assert ended.code == 2
    assert last.startswith(f"paa.train: {message}")
    assert last.endswith(f"(my/gap.py, line {line})")
    assert any(f'/my/gap.py", line {line}' in step for step in trace)
    assert not any("/paa/cli/" in step for step in trace)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["+assign.boundary.wihin=1"], "assign.boundary.wihin: my.gap.Gap (my/gap.py, line 7) has no such argument. "),
        (["assign.boundary.within=2"], "assign.boundary.within=2 is out of range: must be a number above 0 to 1"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(words, message, inside, capsys):
    ended = call(capsys, "paa.train", "--config-dir", "my/conf", "assign.boundary=gap", *words)
    assert ended.code == 2
    assert ended.err.startswith(f"paa.train: {message}")
    assert ended.err.count("\n") == 1
