"""The option parser that the commands share."""

from __future__ import annotations

import subprocess
import sys

import pytest
from running import call

COMMANDS = {
    "paa.evaluate": ["run=tzz"],
    "paa.predict": ["run=tzz", "images=.", "out=out"],
    "paa.convert": ["none.pth", "runs"],
    "paa.data": ["check", "data=custom", "data.root=none"],
    "paa.runs": ["status", "table1=nosuch"],
}
"""A command line of each that is complete, and fails for what it names."""


@pytest.mark.parametrize("module", COMMANDS)
@pytest.mark.parametrize("option", [["--config-dir=own"], ["--config-dir", "own"], ["-cd", "own"]], ids=" ".join)
def test_every_command_takes_a_folder_of_your_own(module, option, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ended = call(capsys, module, *COMMANDS[module], *option)
    assert ended.err.startswith(f"{module}: --config-dir own: ")
    (tmp_path / "own").mkdir()
    ended = call(capsys, module, *COMMANDS[module], *option)
    assert "--config-dir" not in ended.err


@pytest.mark.parametrize("module", COMMANDS)
@pytest.mark.parametrize("wrong", [["--nope"], ["--config-dir"], ["-m"]], ids=" ".join)
def test_a_wrong_option_is_exit_code_2(module, wrong, capsys):
    if (module, wrong) == ("paa.evaluate", ["-m"]):
        pytest.skip("evaluate sweeps")
    ended = call(capsys, module, *COMMANDS[module], *wrong)
    assert ended.code == 2
    assert wrong[0] in ended.err


@pytest.mark.parametrize(
    ("module", "words"),
    [("paa.evaluate", []), ("paa.convert", ["in.pth"]), ("paa.data", ["look"]), ("paa.runs", ["show"])],
)
def test_a_command_that_lacks_a_word_is_exit_code_2(module, words, capsys):
    ended = call(capsys, module, *words)
    assert ended.code == 2
    assert f"usage: python -m {module} " in ended.err


@pytest.mark.parametrize(
    "words",
    [
        *([module, "--help"] for module in COMMANDS),
        *(["paa.runs", *words] for words in (["list"], ["show", "t1"], ["diff", "t1", "t2"], ["watch"])),
        *(["paa.runs", *words] for words in (["cancel", "table1"], ["resubmit", "failed"], ["prune"])),
    ],
    ids=" ".join,
)
def test_what_computes_nothing_imports_neither_torch_nor_hydra(words, tmp_path):
    code = (
        f"import sys\nsys.argv = {['x', *words[1:]]!r}\n"
        f"from {words[0]} import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'hydra', 'omegaconf', 'pandas'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
