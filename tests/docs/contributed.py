"""The commands of CONTRIBUTING.md, run in the copy of the repository that test_contributing.py makes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from pages import REPO, Command, commands
from PIL import Image
from running import TINY, call
from test_documented_commands import check_script

import paa
from docs.generate.reference import Conf
from paa.config.paths import conf_dir

COMMANDS = [command for command in commands(REPO / "CONTRIBUTING.md") if command.words[0] == "python"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the commands run: images and boxes in the form of the page's CSV files."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "photos" / "images").mkdir(parents=True)
    names = [f"{number}.png" for number in range(4)]
    for name in names:
        Image.new("RGB", (64, 64), "white").save(folder / "photos" / "images" / name)
    for split in ("train", "val"):
        with (folder / "photos" / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file_name", "width", "height", "x", "y", "w", "h", "name"])
            writer.writerows([name, 64, 64, 4, 4, 30, 30, kind] for name in names for kind in ("cat", "dog"))
    return folder


def small(arguments: list[str]) -> list[str]:
    """Keys that make a training one of milliseconds a step."""
    chosen = {word.split("=")[0] for word in arguments}
    return [word for word in TINY if word.split("=")[0] not in chosen and word.split(".")[0] not in chosen]


def test_the_copy_is_what_runs():
    assert Path(paa.__file__).is_relative_to(REPO)


def test_every_key_has_a_comment():
    assert Conf.read(conf_dir()).uncommented() == []


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_command(command: Command, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    words = [word.replace("DIR", "photos") for word in command.words]
    if words[1] != "-m":
        check_script(words[1], words[2:], monkeypatch)
        return
    module, arguments = words[2], words[3:]
    more = [*small(arguments), "workers=0", "schedule.steps=2"] if module == "paa.train" else []
    ended = call(capsys, module, *arguments, *more)
    assert ended.code == 0, ended.err
