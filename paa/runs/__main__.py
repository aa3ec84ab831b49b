"""`python -m paa.runs`: what has been run, what is running, what was cut off."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paa.cli.completion import completes
from paa.runs.columns import COLUMNS, Column, flat, name_of, value_at
from paa.runs.errors import BadRecord, RunError
from paa.runs.frame import configuration, evaluations
from paa.runs.paths import RunPaths, find, runs
from paa.runs.record import EvaluationRecord, TrainingRecord
from paa.runs.state import State, state
from paa.runs.text import cell, show

_IDS = {"list": 0, "show": 1, "diff": 2}
"""The commands, and how many ids each takes."""

_BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit code: 0, 1 where a run could not be found or read, 2 for a wrong command line."""
    if completes("paa-runs", sys.argv[1:] if arguments is None else arguments, _IDS):
        return 0
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
        try:
            if options.command == "show":
                _show(find(options.runs_dir, options.id))
            elif options.command == "diff":
                _diff(find(options.runs_dir, options.first), find(options.runs_dir, options.second))
            else:
                _list(options.runs_dir)
            sys.stdout.flush()
        except RunError as error:
            print(error, file=sys.stderr)
            return 1
        except BrokenPipeError:  # the reader, `head` say, has seen enough; Python would complain at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m paa.runs",
        description="Lists the runs below a folder: done, running (where, how far), stopped (resumes when asked for).",
        epilog="ID is a run's name or the beginning of it, as long as no other begins so. Without a command, the list.",
    )
    folder: dict[str, Any] = {"type": Path, "metavar": "DIR", "help": "folder of runs (default: runs)"}
    parser.add_argument("--runs-dir", default=Path("runs"), **folder)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("list", help="one line a run (what happens without a command)")
    one = commands.add_parser("show", help="all that is known of a run: state, overrides, machine, numbers")
    one.add_argument("id", metavar="ID")
    two = commands.add_parser("diff", help="the keys in which two configurations differ, and the numbers")
    two.add_argument("first", metavar="ID")
    two.add_argument("second", metavar="ID")
    # Accepted behind the command as well; SUPPRESS keeps its absence there from undoing what stood in front.
    for command in commands.choices.values():
        command.add_argument("--runs-dir", default=argparse.SUPPRESS, **folder)
    return parser


def _list(runs_dir: Path) -> None:
    found = runs(runs_dir)
    if not found:
        print(f"No runs in {runs_dir}. python -m paa.train makes one.")
        return
    rows = [_line(paths, state(paths)) for paths in found]
    show(["id", "state", "recipe", "data", "assign", "auxiliary", "seed", "steps", "AP"], rows)


def _line(paths: RunPaths, where: State) -> list[Any]:
    try:
        config = configuration(paths)
    except BadRecord as error:
        warnings.warn(str(error), stacklevel=1)
        config = {}
    boundary = name_of(value_at(config, "assign.boundary"))
    parameters = {"fnp": "n", "fsr": "t"}
    if boundary in parameters:
        boundary += f"({cell(value_at(config, f'assign.boundary.{parameters[boundary]}'))})"
    return [
        paths.train_id,
        str(where),
        value_at(config, "recipe.name"),
        name_of(config.get("data")),
        boundary or name_of(config.get("assign")),
        name_of(config.get("auxiliary")),
        config.get("seed"),
        value_at(config, "schedule.steps"),
        ", ".join(f"{_title(e)} {_ap(e)}" for e in evaluations(paths)),
    ]


def _title(evaluation: EvaluationRecord) -> str:
    return evaluation.split + ("+voting" if evaluation.voting else "")


def _ap(evaluation: EvaluationRecord) -> str:
    ap = evaluation.numbers.get("AP")
    return "-" if ap is None else f"{ap:.1f}"


def _score(evaluation: EvaluationRecord, name: str) -> float | None:
    return evaluation.iou_error if name == "iou_error" else evaluation.numbers.get(name)


def _show(paths: RunPaths) -> None:
    print(f"{paths.train_id}  {state(paths)}\n{paths.folder}\n")
    config = configuration(paths)
    if paths.finished:
        training = TrainingRecord.read(paths.record)
        print("overrides:", " ".join(training.overrides) or "none")
        names = ["seed", "device", "threads", "steps", "wall_s", "commit", "clean", "weights_sha256"]
        facts = [[name, _BY_NAME[name].value(training, None)] for name in names]
        facts += [[f"version {name}", version] for name, version in training.origin.get("versions", {}).items()]
        facts += [[name, value] for name, value in training.origin.get("hardware", {}).items()]
        show(["made by", ""], facts)
        print()
    show(["key", "value"], sorted([key, _text(value)] for key, value in flat(config).items()))
    found = list(evaluations(paths))
    if found:
        print()
        names = [*found[0].numbers, "iou_error"]
        numbers = [[name, *(_score(e, name) for e in found)] for name in names]
        classes = [[f"AP {c}", *(e.per_class.get(c) for e in found)] for c in found[0].per_class]
        show(["", *(f"{_title(e)} {e.eval_id}" for e in found)], numbers + classes)


def _diff(first: RunPaths, second: RunPaths) -> None:
    both = (first, second)
    header = ["", *(paths.train_id for paths in both)]
    ours, theirs = (flat(configuration(paths)) for paths in both)
    keys = [k for k in sorted(ours | theirs) if _text(ours.get(k, "(none)")) != _text(theirs.get(k, "(none)"))]
    rows = [[key, _text(ours.get(key, "(none)")), _text(theirs.get(key, "(none)"))] for key in keys]
    if rows:
        show(header, rows)
    else:
        print("The configurations do not differ.")
    scored = [row for pair in _pairs(first, second) for row in _changes(*pair)]
    print()
    if scored:
        show([*header, "change"], scored)
    else:
        print("No evaluation of both, or none whose numbers differ.")


def _pairs(first: RunPaths, second: RunPaths) -> list[tuple[EvaluationRecord, EvaluationRecord]]:
    """Evaluations of the two runs that can be compared: of one identity, or else of one split and voting."""
    theirs = list(evaluations(second))
    named = {_title(e): e for e in theirs} | {e.eval_id: e for e in theirs}
    both = ((ours, named.get(ours.eval_id) or named.get(_title(ours))) for ours in evaluations(first))
    return [(ours, other) for ours, other in both if other is not None]


def _changes(first: EvaluationRecord, second: EvaluationRecord) -> list[list[Any]]:
    """A row for each number that differs: its name, both values, their difference."""
    rows: list[list[Any]] = []
    for name in [*first.numbers, "iou_error"]:
        before, after = _score(first, name), _score(second, name)
        if before != after:
            change = None if before is None or after is None else round(after - before, 4)
            rows.append([f"{_title(first)} {name}", before, after, change])
    return rows


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


if __name__ == "__main__":
    sys.exit(main())
