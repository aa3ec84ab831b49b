"""The additions of CONTRIBUTING.md work as written: files and commands, in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest
from pages import REPO, Block, blocks

PAGE = (REPO / "CONTRIBUTING.md").read_text()

COPIED = ("paa", "conf", "experiments", "hydra_plugins", "analysis", "docs", "tests")
FILES = ("pyproject.toml", "README.md", "CONTRIBUTING.md", "Makefile")

LISTS = (
    *(
        f"tests/config/test_compose.py::test_a_mistake_gets_one_line_that_says_what_would_be_right[{mistake}]"
        for mistake in ("assign=foo", "assign.boundary=e", "recipe=tiny")
    ),
    "tests/commands/test_help_and_completion.py::test_help_shows_groups_keys_and_five_examples",
    "tests/planning/test_rows.py::test_every_row_of_the_paper_is_a_file",
    "tests/docs/test_reproduce.py::test_rows_of_tables_are_those_of_experiments",
    "tests/store/test_records.py::test_every_choice_of_conf_has_a_short_name",
)
"""Tests that look at all choices and rows: an addition must not break them."""

ADDITIONS = {title: text for title, _, text in (s.partition("\n") for s in PAGE.split("\n## ")) if "Add a" in title}


def file_of(block: Block) -> str | None:
    """The file that a block is the content of, or the end of."""
    name = re.search(r"`([\w./]+\.(?:py|yaml))`:$", block.before)
    return name[1] if name else None


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the repository with every file of the page written."""
    folder = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__", "*.npz", "*.xz")
    for name in (*COPIED, *FILES):
        if (REPO / name).is_dir():
            shutil.copytree(REPO / name, folder / name, ignore=ignored)
        else:
            shutil.copy(REPO / name, folder / name)
    for block in blocks(PAGE):
        name = file_of(block)
        if name is not None:
            path = folder / name
            assert path.exists() == ("Append to" in block.before), name
            with path.open("a") as file:
                file.write("\n\n" * ("Append to" in block.before) + block.text)
    return folder


def test_the_path_to_the_first_step_is_short_and_exists():
    path = re.findall(r"^\| `([\w/]+)\.py` \| `([\w.]+)` \|", PAGE, re.M)
    assert len(path) == 12
    assert len({file for file, _ in path} | {"engine/core"}) == 9
    for file, function in path:
        assert callable(attrgetter(function)(import_module(f"paa.{file.replace('/', '.')}"))), function


def test_there_is_an_example_of_everything_that_can_be_added():
    assert list(ADDITIONS) == [
        "Add an assigner",
        "Add a boundary",
        "Add an auxiliary task",
        "Add a backbone",
        "Add a data format",
        "Add a table row",
    ]


@pytest.mark.parametrize("title", ADDITIONS)
def test_an_addition_takes_under_twenty_lines(title):
    written = [b for b in blocks(ADDITIONS[title]) if file_of(b) and not str(file_of(b)).startswith("tests/")]
    lines = [line for block in written for line in block.text.splitlines()]
    assert written
    assert sum(bool(line.strip()) for line in lines) < 20


def test_what_is_added_passes_the_linter(copy):
    names = [str(file_of(block)) for block in blocks(PAGE) if str(file_of(block)).endswith(".py")]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *names], cwd=copy, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_what_is_added_trains(copy):
    """One process for all: the tests of the page, its commands, and the tests that look at all files and rows."""
    tests = [name for name in map(file_of, blocks(PAGE)) if name and name.startswith("tests/")]
    always = ["tests/docs/contributed.py", "tests/test_layering.py", *LISTS]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests, *always]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
