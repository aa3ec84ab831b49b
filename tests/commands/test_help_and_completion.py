"""What commands show without running anything."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from running import call, only_run, run_cli, train

from paa.config.paths import conf_dir


def test_the_list_of_runs_shows_what_was_done(here, capsys):
    assert train(capsys).code == 0
    run = only_run(here)
    listed = run_cli("paa.runs", cwd=here)
    assert listed.returncode == 0
    assert run.train_id in listed.stdout
    assert " done " in listed.stdout
    shown = run_cli("paa.runs", "show", run.train_id[:5], cwd=here)
    assert "weights_sha256" in shown.stdout


def test_help_shows_groups_keys_and_five_examples(here, capsys):
    ended = call(capsys, "paa.train", "--help")
    assert ended.code == 0
    for group in ("assign", "assign.boundary"):
        choices = ", ".join(sorted(path.stem for path in (conf_dir() / group).glob("*.yaml")))
        assert f"\n{group}: {choices}\n" in ended.out
    for key in ("seed", "assign.topk", "assign.lambda_score", "anchors.scale", "postprocess.voting", "schedule.steps"):
        assert re.search(rf"^ +(?:.*  )?{re.escape(key)}  ", ended.out, re.M), key
    assert ended.out.count("  python -m paa.train") == 5
    assert not any("hydra/" in line for line in ended.out.split("Keys that matter")[0].splitlines())
    assert not (here / "runs" / ".sweeps").exists()
    for module in ("paa.evaluate", "paa.predict", "paa.convert"):
        text = call(capsys, module, "--help")
        assert text.code == 0
        assert text.out.startswith(f"usage: python -m {module} ")


def test_the_examples_in_the_help_are_commands_that_compose(capsys, here):
    text = call(capsys, "paa.train", "--help").out
    examples = re.findall(r"^ +python -m paa\.train(.*?)(?:  .*)?$", text, re.M)
    assert len(examples) == 5
    for example in examples:
        arguments = [a.replace("data.root=DIR", "data.root=/data") for a in example.split() if a != "-m"]
        shown = call(capsys, "paa.train", "--cfg", "job", *[re.sub(r",.*", "", a) for a in arguments])
        assert shown.code == 0, (example, shown.err)


def test_the_whole_configuration_can_be_shown(here, capsys):
    ended = call(capsys, "paa.train", "--cfg", "job", "assign.topk=5")
    assert ended.code == 0
    assert "  topk: 5\n" in ended.out
    assert not (here / "runs" / ".sweeps").exists()


def test_completion_answers_for_groups_and_keys(here, capsys, monkeypatch):
    """As the shell asks: by environment variables, with words that are half typed."""
    for line, expected in {
        "paa-train assign.boundary=f": {"assign.boundary=fnp", "assign.boundary=fsr"},
        "paa-train assign=": {"assign=atss", "assign=max_iou", "assign=paa"},
        "paa-train assign.to": {"assign.topk="},
    }.items():
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        done = call(capsys, "paa.train", "-sc", "query=bash")
        assert done.code == 0, done.err
        assert expected <= set(done.out.split()), (line, done.out)
    assert sorted(p.name for p in here.iterdir()) == ["runs"]


BASH = """
eval "$(paa-train -sc install=bash)"
COMP_LINE="paa-train -m assign.boundary=f" COMP_POINT=30 COMP_WORDS=(paa-train -m assign.boundary=f) COMP_CWORD=2
hydra_bash_completion
echo "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_console_script_installs_its_completion_in_bash(tmp_path):
    """As the README says it; a key press must not wait for torch to be imported."""
    scripts = Path(sys.executable).parent
    if not (scripts / "paa-train").exists():
        pytest.skip(f"no paa-train in {scripts}")
    env = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", BASH], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["assign.boundary=fnp", "assign.boundary=fsr"], done.stderr
    code = "import sys; from paa.train import main; sys.argv = ['paa-train', '-sc', 'query=bash']; main()\n"
    env |= {"COMP_LINE": "paa-train assign=", "COMP_POINT": "17"}
    asked = [sys.executable, "-c", code + "assert 'torch' not in sys.modules"]
    done = subprocess.run(asked, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert {"assign=atss", "assign=max_iou", "assign=paa"} <= set(done.stdout.split())
