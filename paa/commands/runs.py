"""`python -m paa.runs`: what has been run, what is running, what was cut off, what a table still lacks."""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paa.config.completion import completes
from paa.config.paths import experiments_dir
from paa.launch.actions import KINDS, cancel, resubmit, watch
from paa.launch.view import HEADER, lines
from paa.launch.view import rows as submitted_rows
from paa.store.columns import COLUMNS, Column, flat, name_of, value_at
from paa.store.errors import BadRecord, RunError
from paa.store.frame import configuration, evaluations
from paa.store.paths import RunPaths, find, runs
from paa.store.record import EvaluationRecord, TrainingRecord
from paa.store.state import State, state
from paa.store.text_table import cell, show

_IDS = {"list": 0, "show": 1, "diff": 2, "prune": 0, "score": 1}
"""The commands, and how many ids each takes."""

_BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit code: 0, 1 where a run could not be found or read, 2 for a wrong command line."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if completes("paa-runs", words, _IDS | dict.fromkeys(_tables(), 0)):
        return 0
    table = any(_names_table(word) for word in words)
    if not table:  # as the other commands have it
        folders = [word.partition("=")[2] for word in words if word.startswith("runs_dir=")]
        words = [f"--runs-dir={one}" for one in folders] + [w for w in words if not w.startswith("runs_dir=")]
    parser = _table_parser() if table else _parser()
    options = parser.parse_args(words)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
        try:
            if options.command == "table":
                return _table(options.runs_dir, options.config_dir, options.words)
            if options.command == "prune":
                return _prune(options)
            if options.watch or options.cancel is not None or options.resubmit is not None:
                _submitted(options)
            elif options.command == "score":
                _score_upload(options)
            elif options.command == "show":
                _show(find(options.runs_dir, options.id))
            elif options.command == "diff":
                _diff(find(options.runs_dir, options.first), find(options.runs_dir, options.second))
            else:
                _list(options.runs_dir)
            sys.stdout.flush()
        except RunError as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:  # enough watched
            return 0
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
    parser.add_argument("--watch", action="store_true", help="show what was submitted to SLURM until it has ended")
    parser.add_argument("--cancel", metavar="TABLE_OR_ID", help="cancel submitted runs: of a table, a sweep, or one")
    parser.add_argument("--resubmit", choices=list(KINDS), help="submit again what failed, or what is missing")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("list", help="one line a run (what happens without a command)")
    one = commands.add_parser("show", help="all that is known of a run: state, overrides, machine, numbers")
    one.add_argument("id", metavar="ID")
    two = commands.add_parser("diff", help="the keys in which two configurations differ, and the numbers")
    two.add_argument("first", metavar="ID")
    two.add_argument("second", metavar="ID")
    prune = commands.add_parser("prune", help="free disk of what no table needs; says what, and asks")
    prune.add_argument("--weights", action="store_true", help="final weights, too, where no row lacks an evaluation")
    prune.add_argument("--yes", action="store_true", help="remove, and do not ask")
    prune.add_argument("--config-dir", default=None, metavar="DIR", help="folder of rows and choices of your own")
    score = commands.add_parser("score", help="enter what an evaluation server measured into the record of an upload")
    score.add_argument("id", metavar="ID", help="the evaluation, or its run where that has one upload")
    score.add_argument("file", metavar="FILE", type=Path, help="the server's answer: its JSON, or its text")
    score.add_argument("--source", help="where the answer is from, a page's address say (default: the file's name)")
    score.add_argument("--date", help="day of the answer, 2020-07-04 say (default: the file's)")
    # Accepted behind the command as well; SUPPRESS keeps its absence there from undoing what stood in front.
    for command in commands.choices.values():
        command.add_argument("--runs-dir", default=argparse.SUPPRESS, **folder)
    return parser


def _table_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m paa.runs",
        usage="python -m paa.runs TABLE [key=value ...] [--runs-dir DIR] [--config-dir DIR]",
        description="Where each row of a table stands, and the command that runs just what is missing of it.",
        epilog="Words as of `python -m paa.train -m`: table1 recipe=mini seed=0,1,2; table1=a,b for some rows.",
    )
    parser.add_argument("words", nargs="+", metavar="WORD", help="the table, and overrides for all of its rows")
    parser.add_argument("--runs-dir", type=Path, default=None, metavar="DIR", help="folder of runs (default: runs)")
    parser.add_argument("--config-dir", default=None, metavar="DIR", help="folder of rows and choices of your own")
    parser.set_defaults(command="table")
    return parser


def _tables() -> list[str]:
    return sorted(path.name for path in experiments_dir().iterdir() if path.is_dir())


def _names_table(word: str) -> bool:
    return re.fullmatch(r"table\w*(=.*)?", word) is not None


def _table(runs_dir: Path | None, config_dir: str | None, words: Sequence[str]) -> int:
    from paa.config.errors import USER_ERRORS
    from paa.config.user_code import add_cwd_to_path
    from paa.planning.rows import rows_of
    from paa.planning.status import HEADER as ROWS
    from paa.planning.status import report

    add_cwd_to_path()
    named = [word for word in words if _names_table(word)]
    rest = [word for word in words if word not in named]
    rest += [f"runs_dir={runs_dir}"] if runs_dir is not None else []
    try:
        if len(named) > 1:
            raise RunError(f"{' '.join(named)}: one table at a time")
        body, below = report(rows_of(named[0], rest, config_dir=config_dir), config_dir)
    except USER_ERRORS as error:
        print(f"paa.runs: {error}", file=sys.stderr)
        return 1
    show(ROWS, body)
    print(f"\n{below}")
    return 0


def _prune(options: argparse.Namespace) -> int:
    from paa.planning.dry_run import size
    from paa.planning.prune import needed_weights, pieces, remove

    needed = needed_weights(options.runs_dir, options.config_dir) if options.weights else {}
    found = pieces(options.runs_dir, options.weights, needed)
    kept = {name: why for name, why in needed.items() if RunPaths(options.runs_dir, name).weights.exists()}
    for name, why in sorted(kept.items()):
        print(f"{name}  keeps its weights: {why}")
    if not found:
        print("Nothing can go." + ("" if options.weights else " --weights looks at final weights, too."))
        return 0
    show(["id", "what", "size"], [[one.run.train_id, one.what, size(one.bytes)] for one in found])
    total = size(sum(one.bytes for one in found))
    if not options.yes and not (sys.stdin.isatty() and sys.stdout.isatty() and _agreed(f"\nRemove them ({total})?")):
        print(f"\n{total} could go; nothing was removed. --yes removes.")
        return 0
    print(f"\n{size(remove(found))} freed")
    return 0


def _agreed(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _score_upload(options: argparse.Namespace) -> None:
    from paa.store.server_score import enter

    paths, record, before = enter(options.runs_dir, options.id, options.file, options.source, options.date)
    assert record.score is not None
    numbers = "  ".join(f"{name} {_number(value)}" for name, value in record.numbers.items() if value is not None)
    again = "" if before is None else f" (was AP {before:.1f})"
    print(f"{paths.train_id}  {record.eval_id}  {record.split}: {numbers}{again}")
    guessed = "" if options.date else f" (the day of {options.file}; if that is not the answer's, say --date)"
    print(f"from {record.score['source']}, {record.score['date']}{guessed}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _submitted(options: argparse.Namespace) -> None:
    if options.cancel is not None:
        cancel(options.runs_dir, options.cancel)
    if options.resubmit is not None:
        resubmit(options.runs_dir, options.resubmit)
    if options.watch:
        watch(options.runs_dir)


def _list(runs_dir: Path) -> None:
    found = runs(runs_dir)
    head, body = lines(submitted_rows(runs_dir), runs_dir, 40)
    if body:
        print(head)
        show(HEADER, body)
        print()
    if not found and not body:
        print(f"No runs in {runs_dir}. python -m paa.train makes one.")
        return
    rows = [_line(paths, state(paths)) for paths in found]
    if rows:
        show(["id", "state", "recipe", "data", "assign", "auxiliary", "seed", "steps", "AP"], rows)


def _line(paths: RunPaths, where: State) -> list[Any]:
    try:
        config = configuration(paths)
    except BadRecord as error:
        warnings.warn(str(error), stacklevel=1)
        config = {}
    boundary = name_of(value_at(config, "assign.boundary"))
    parameters = {"fnp": "n", "fsr": "t"}
    if paths.converted:
        boundary = None
    if boundary in parameters:
        boundary += f"({cell(value_at(config, f'assign.boundary.{parameters[boundary]}'))})"
    found = list(evaluations(paths))
    return [
        paths.train_id,
        str(where),
        value_at(config, "recipe.name"),
        name_of(config.get("data")),
        boundary or name_of(config.get("assign")),
        name_of(config.get("auxiliary")),
        None if paths.converted else config.get("seed"),
        None if paths.converted else value_at(config, "schedule.steps"),
        ", ".join(f"{title} {_ap(e)}" for e, title in zip(found, _titles(found).values(), strict=True)),
    ]


def _title(evaluation: EvaluationRecord) -> str:
    return evaluation.split + ("+voting" if evaluation.voting else "") + ("+scales" if evaluation.multiscale else "")


def _titles(found: Sequence[EvaluationRecord]) -> dict[str, str]:
    """{eval_id: title}; where several would have the same, with what else tells them apart."""
    titles = {}
    for one in found:
        alike = [other.postprocess for other in found if _title(other) == _title(one)]
        differing = [k for k in one.postprocess if len({repr(other.get(k)) for other in alike}) > 1]
        titles[one.eval_id] = " ".join([_title(one), *(f"{k}={one.postprocess[k]}" for k in differing)])
    return titles


def _ap(evaluation: EvaluationRecord) -> str:
    ap = evaluation.numbers.get("AP")
    return _number(ap)


_ERRORS = ("iou_error", "iou_error_positives")
"""Numbers of an evaluation that are no COCO metric."""


def _score(evaluation: EvaluationRecord, name: str) -> float | None:
    return getattr(evaluation, name) if name in _ERRORS else evaluation.numbers.get(name)


def _show(paths: RunPaths) -> None:
    print(f"{paths.train_id}  {state(paths)}\n{paths.folder}\n")
    config = configuration(paths)
    if paths.finished:
        training = TrainingRecord.read(paths.record)
        print("overrides:", " ".join(training.overrides) or "none")
        names = ["seed", "device", "threads", "steps", "wall_s", "commit", "clean", "weights_sha256"]
        facts = [[f"converted {name}", value] for name, value in training.converted.items()]
        facts += [[name, _BY_NAME[name].value(training, None)] for name in names]
        facts += [[f"version {name}", version] for name, version in training.origin.get("versions", {}).items()]
        facts += [[name, value] for name, value in training.origin.get("hardware", {}).items()]
        show(["made by", ""], facts)
        print()
    show(["key", "value"], sorted([key, _text(value)] for key, value in flat(config).items()))
    found = list(evaluations(paths))
    if found:
        print()
        names = [*found[0].numbers, *_ERRORS]
        numbers = [[name, *(_score(e, name) for e in found)] for name in names]
        classes = [[f"AP {c}", *(e.per_class.get(c) for e in found)] for c in found[0].per_class]
        titles = _titles(found)
        show(["", *(f"{titles[e.eval_id]} {e.eval_id}" for e in found)], numbers + classes)


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
    titles = _titles(list(evaluations(first)))
    scored = [row for one, other in _pairs(first, second) for row in _changes(one, other, titles[one.eval_id])]
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


def _changes(first: EvaluationRecord, second: EvaluationRecord, title: str) -> list[list[Any]]:
    """A row for each number that differs: its name, both values, their difference."""
    rows: list[list[Any]] = []
    for name in [*first.numbers, *_ERRORS]:
        before, after = _score(first, name), _score(second, name)
        if before != after:
            change = None if before is None or after is None else round(after - before, 4)
            rows.append([f"{title} {name}", before, after, change])
    return rows


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


if __name__ == "__main__":
    sys.exit(main())
