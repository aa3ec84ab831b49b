"""What a shell gets for a half-typed line of paa-evaluate, paa-predict, paa-convert and paa-runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from running import configuration

from paa.commands.runs import _IDS, _parser
from paa.config.completion import SCRIPTS, completes
from paa.config.test_time_keys import OPEN, open_keys
from paa.predict import USAGE as PREDICT

SCRIPTS_OF = Path(sys.executable).parent


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with two finished runs and one that is not, and others elsewhere."""
    for name in ("runs/t11", "runs/t12", "runs/t13", "far/away/t22"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("runs/t11", "runs/t12", "far/away/t22"):
        (tmp_path / name / "record.json").write_text("{}")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photo.png").write_text("")
    (tmp_path / ".hidden").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(capsys, monkeypatch, line: str, words=None) -> list[str]:
    """The answer for `line`, typed up to the mark "|", else to its end."""
    typed, _, rest = line.partition("|")
    monkeypatch.setenv("COMP_LINE", typed + rest)
    monkeypatch.setenv("COMP_POINT", str(len(typed)))
    capsys.readouterr()
    assert completes(line.split()[0], ["-sc", "query=bash"], words)
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("paa-evaluate run=", ["run=t11", "run=t12"]),
        ("paa-evaluate run=t12", ["run=t12"]),
        ("paa-evaluate run=t|12 postprocess.voting=true", ["run=t11", "run=t12"]),
        ("paa-evaluate runs_dir=far/away -m run=", ["run=t22"]),
        ("paa-evaluate runs_dir=nowhere run=", []),
        ("paa-evaluate run", ["run=", "runs_dir="]),
        ("paa-evaluate run=t11 run", ["runs_dir="]),
        ("paa-evaluate data.", ["data.root=", "data.split="]),
        ("paa-evaluate data.split=te", ["data.split=test", "data.split=test-dev"]),
        ("paa-evaluate postprocess.voting=", [f"postprocess.voting={v}" for v in ("both", "false", "true")]),
        ("paa-evaluate postprocess.sigma_t=", []),
        ("paa-evaluate assign.", []),
        ("paa-evaluate -", ["--config-dir", "--help", "-m"]),
        ("paa-predict images=ph", ["images=photo.png", "images=photos/"]),
        ("paa-predict images=photos/", []),
        ("paa-predict out=.h", ["out=.hidden/"]),
        ("paa-predict runs_dir=far/", ["runs_dir=far/away/"]),
        ("paa-predict pic", ["pictures="]),
        ("paa-evaluate pic", []),
        ("paa-convert ph", ["photo.png", "photos/"]),
        ("paa-convert photo.png ru", ["runs/"]),
        ("paa-convert photo.png runs assi", ["assign="]),
        ("paa-convert photo.png runs data.root=far/", ["data.root=far/away/"]),
        ("paa-convert photo.png runs ru", []),
    ],
)
def test_keys_values_runs_and_paths(here, capsys, monkeypatch, line, expected):
    assert ask(capsys, monkeypatch, line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("paa-runs ", ["--help", "--runs-dir", "diff", "list", "show"]),
        ("paa-runs s", ["show"]),
        ("paa-runs show ", ["--runs-dir", "t11", "t12", "t13"]),
        ("paa-runs show t11 t", []),
        ("paa-runs diff t11 t1", ["t11", "t12", "t13"]),
        ("paa-runs --runs-dir far/away show t", ["t22"]),
        ("paa-runs --runs-dir f", ["far/"]),
        ("paa-runs list t", []),
    ],
)
def test_words_and_ids(here, capsys, monkeypatch, line, expected):
    assert ask(capsys, monkeypatch, line, {"list": 0, "show": 1, "diff": 2}) == expected


def test_every_key_that_may_change_is_offered():
    composed = OmegaConf.create(configuration("postprocess.multiscale=official"))
    for key in open_keys():
        assert "split" in key or OmegaConf.select(composed, key, default="none") != "none" or key == "data.root", key
    for name in OPEN:
        assert any(key == name or key.startswith(f"{name}.") for key in open_keys()), name
    named = {"postprocess.nms_iou", "postprocess.multiscale", "postprocess.multiscale.short", "images.test.short"}
    assert named | {"evaluate.splits", "lock.if_locked"} <= set(open_keys())


def test_the_words_are_those_of_the_commands(here, capsys, monkeypatch):
    (commands,) = (action.choices for action in _parser()._actions if action.dest == "command")
    assert set(_IDS) == set(commands)
    keys = {line.split("=")[0].strip() for line in PREDICT.splitlines() if line.startswith("  ") and "=" in line}
    offered = {one.rstrip("=") for one in ask(capsys, monkeypatch, "paa-predict ")}
    assert {key for key in keys if "." not in key and " " not in key} <= offered


def test_no_question_and_a_wrong_one(capsys):
    assert completes("paa-evaluate", ["run=t1"]) is False
    for argv in (["-sc"], ["-sc", "install=tcsh"], ["--shell-completion", "remove=bash"]):
        with pytest.raises(SystemExit) as end:
            completes("paa-evaluate", argv)
        assert end.value.code == 2
        assert capsys.readouterr().err.endswith("must be install=bash, install=zsh or install=fish\n")


def in_shell(shell: str, text: str, here: Path) -> list[str]:
    program = shutil.which(shell)
    if program is None or not (SCRIPTS_OF / "paa-evaluate").exists():
        pytest.skip(f"no {shell}, or no paa-evaluate in {SCRIPTS_OF}")
    env = {**os.environ, "PATH": f"{SCRIPTS_OF}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [program, "-c", text], cwd=here, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


BASH = """
eval "$(paa-evaluate -sc install=bash)"
complete -p paa-evaluate > /dev/null || exit 1
COMP_WORDBREAKS="$1"
COMP_LINE="paa-evaluate run=t1" COMP_POINT=19
_paa_complete paa-evaluate
echo "${COMPREPLY[@]}"
"""


def test_bash_completes_with_and_without_the_equals_sign_as_a_word_break(here):
    assert in_shell("bash", BASH.replace('"$1"', "' ='"), here) == ["t11", "t12"]
    assert in_shell("bash", BASH.replace('"$1"', "' '"), here) == ["run=t11", "run=t12"]


def test_fish_completes(here):
    text = 'paa-runs -sc install=fish | source; complete -C "paa-runs show t1"'
    assert in_shell("fish", text, here) == ["t11", "t12", "t13"]


def test_zsh_reads_its_script(here):
    """Its line editor is not at hand here; that the script parses is."""
    assert in_shell("zsh", 'compdef() { echo $@ }; eval "$(paa-predict -sc install=zsh)"', here) == [
        "_paa_complete",
        "paa-predict",
    ]
    assert set(SCRIPTS) == {"bash", "zsh", "fish"}


@pytest.mark.parametrize("module", ["paa.evaluate", "paa.predict", "paa.convert", "paa.commands.runs"])
def test_a_key_press_waits_for_no_torch(here, module):
    code = (
        f"import sys; sys.argv = ['x', '-sc', 'query=bash']; from {module} import main; main()\n"
        "assert not {'torch', 'hydra', 'pandas'} & set(sys.modules), sys.modules"
    )
    env = {**os.environ, "COMP_LINE": "paa-x "}
    done = subprocess.run([sys.executable, "-c", code], cwd=here, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
