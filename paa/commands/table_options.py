"""The options, output files and hints that the scripts that make tables share."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from paa import checks, files
from paa.config.paths import conf_dir
from paa.tables.entries import Entry
from paa.tables.formats import ENDINGS
from paa.tables.sheet import Sheet

FORMATS = ("text", "md", "csv", "latex", "html")

T = TypeVar("T")


def several(known: Sequence[str], exclusive: str = "") -> Callable[[str], list[str]]:
    """Return a parser of comma-separated words of `known`; `exclusive` cannot be combined."""

    def parse(text: str) -> list[str]:
        words = text.split(",")
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word or 'nothing'}: must be of {', '.join(known)}")
        if exclusive in words and len(words) > 1:
            raise argparse.ArgumentTypeError(f"{exclusive}: cannot be combined")
        return list(dict.fromkeys(words))

    return parse


def read_as(parse: Callable[[str], T], what: str) -> Callable[[str], T]:
    """Return `parse` for argparse, which shows that the argument must be `what` where it raises ValueError."""

    def read(text: str) -> T:
        try:
            return parse(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text}: must be {what}") from None

    return read


SEEDS = read_as(lambda text: sorted({int(word) for word in text.split(",")}), "whole numbers, 0,1,2")
RESAMPLES = read_as(lambda text: checks.integer("", int(text), low=1, high=100_000), "an integer from 1 to 100000")

OPTIONS: dict[str, dict[str, Any]] = {
    "overrides": {"nargs": "*", "metavar": "KEY=VALUE", "help": "further settings of all rows, as for paa.train"},
    "--format": {
        "type": several(FORMATS),
        "default": ["text"],
        "metavar": "F",
        "help": "text (default), md, csv (a line for each number, all digits), latex, html, or some of them (md,csv)",
    },
    "--out": {"type": Path, "metavar": "DIR", "help": "write a file for each format there; else to stdout"},
    "--runs-dir": {"type": Path, "default": Path("runs"), "metavar": "DIR", "help": "folder of runs (default: runs)"},
    "--recipe": {"default": "mini", "metavar": "R", "help": "recipe of the rows (default: mini)"},
    "--seeds": {"type": SEEDS, "default": [], "metavar": "0,1", "help": "(default: all with a started row)"},
    "--resamples": {
        "type": RESAMPLES,
        "default": 1000,
        "metavar": "N",
        "help": "resamples of the test images for intervals and p (default: 1000)",
    },
    "--config-dir": {"metavar": "DIR", "help": "your own groups and rows, as for paa.train"},
}


def parser(name: str, text: str) -> argparse.ArgumentParser:
    """Return a parser of the options that all of them have."""
    program, usage = f"python analysis/{name}.py", "%(prog)s [options] [KEY=VALUE ...]"
    style = argparse.RawDescriptionHelpFormatter
    out = argparse.ArgumentParser(prog=program, description=text, usage=usage, formatter_class=style)
    for option, settings in OPTIONS.items():
        out.add_argument(option, **settings)
    return out


def parsed(out: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line; a wrong one ends the process with exit code 2."""
    options = out.parse_intermixed_args(arguments)
    folders = [conf_dir(), *([Path(options.config_dir)] if options.config_dir else [])]
    recipes = sorted({path.stem for folder in folders for path in (folder / "recipe").glob("*.yaml")})
    if options.recipe not in recipes:
        out.error(f"--recipe {options.recipe}: no such recipe; there are {', '.join(recipes)}")
    for word in options.overrides:
        key = word.split("=")[0]
        if key in ("recipe", "runs_dir", "seed"):
            out.error(f"{word}: use --{key.replace('_', '-').replace('seed', 'seeds')}")
        if "=" not in word:
            out.error(f"{word}: must be KEY=VALUE of the configuration, for all rows alike; see --help")
    return options


def rows_of_tables(
    options: argparse.Namespace, tables: Mapping[str, Sequence[str]], name: str, always: bool = False
) -> dict[str, list[Entry]]:
    """Return the rows of each table {its name: groups} with their runs; print a hint if none of them was started.

    name    of the script, for error messages, after which it exits with 2.
    always  whether rows are composed even if the folder has no run of the recipe; else there is no table then.
    """
    # Composing rows needs torch; --help, mistakes and all records do not.
    from paa.commands.options import refusing
    from paa.config.user_code import add_cwd_to_path
    from paa.planning.collect import found, summarize

    add_cwd_to_path()  # for your own classes
    out: dict[str, list[Entry]] = {}
    with refusing(name, 2):
        there = summarize(options.runs_dir, options.recipe)
        for table, groups in tables.items() if there.seeds or always else ():
            words = options.recipe, options.overrides, options.runs_dir
            out[table] = found(groups, *words, there, options.seeds, options.config_dir)
    if not any(map(started, out.values())):
        _hint(options, there.overrides, there.others)
    return out


def started(entries: Sequence[Entry]) -> bool:
    """Return whether any run of these rows has ever been started."""
    return any(run.begun for entry in entries for run in entry.runs)


def deliver(texts: Mapping[str, str], name: str, sheets: Sequence[Sheet], out: Path | None) -> None:
    """Print the text of each format, or write it to a file in `out`.

    Warnings, which stand below each table, go to stderr as well where nobody sees the tables.
    """
    if out is None:
        sys.stdout.write("\n".join(texts.values()))
    else:
        out.mkdir(parents=True, exist_ok=True)
        for kind, text in texts.items():
            path = out / f"{name}.{ENDINGS[kind]}"
            files.write_text(path, text)
            print(path)
    if out is not None or list(texts) == ["csv"]:
        for sheet in sheets:
            for text in sheet.warnings:
                print(f"warning: {sheet.name}: {text}", file=sys.stderr)


def nothing_run(runs_dir: Path) -> int:
    """Print on stderr that there is no finished run, and a command that makes some; return the exit code."""
    where = "" if runs_dir == Path("runs") else f" {shlex.quote(f'runs_dir={runs_dir}')}"
    there = f"No finished run in {runs_dir}" if runs_dir.is_dir() else f"No such folder: {runs_dir} (--runs-dir)"
    print(f"{there}. To train three runs: python -m paa.train -m assign.boundary=fnp,fsr,paa{where}", file=sys.stderr)
    return 1


def _hint(options: argparse.Namespace, overrides: Counter[tuple[str, ...]], others: Counter[str]) -> None:
    """Print on stderr with which overrides runs of this recipe were trained, and how many there are of others."""
    asked = " ".join([f"recipe={options.recipe}", *options.overrides])
    print(f"No row of a table has been run with {asked}.", file=sys.stderr)
    for words, count in overrides.most_common(3):
        if words and set(words) != set(options.overrides):
            print(f"Runs of this recipe that were asked for with {' '.join(words)}: {count}", file=sys.stderr)
    if others:
        counts = ", ".join(f"--recipe {name} ({count})" for name, count in sorted(others.items()))
        print(f"Runs of other recipes: {counts}", file=sys.stderr)
