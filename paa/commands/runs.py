"""`python -m paa.runs`: list, show, compare, follow and remove runs, and the state of a table's rows."""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from paa.checks import UserError
from paa.commands.options import add_config_dir, warnings_on_stderr
from paa.launch.actions import KINDS, cancel, resubmit, watch
from paa.launch.status import HEADER, lines, summary
from paa.launch.status import rows as submitted_rows
from paa.log import open_streams
from paa.store import keys
from paa.store.columns import name_of, values
from paa.store.errors import BadRecord
from paa.store.frame import configuration, evaluations
from paa.store.paths import RunPaths, find, runs
from paa.store.record import EvaluationRecord, TrainingRecord
from paa.store.status import run_status
from paa.store.text_table import cell, show


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code: 0, 1 if a run is not found or not readable, 2 for a wrong command line."""
    open_streams()
    options = _parsed(sys.argv[1:] if arguments is None else arguments)
    with warnings_on_stderr():
        try:
            options.run(options)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, such as `head`, has seen enough; Python would complain at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (UserError, OSError) as error:
            print(f"paa.runs: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 0
    return 0


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    options, more = parser.parse_known_args([re.sub("^runs_dir=", "--runs-dir=", word) for word in words])
    if options.run is _status and not any(word.startswith("-") for word in more):
        options.overrides += more  # those behind an option
    elif more:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m paa.runs",
        description="List, compare, follow and remove runs. ID is a run ID or an unambiguous prefix of one.",
        epilog="Every command takes --runs-dir DIR or runs_dir=DIR. See also: python -m paa.runs COMMAND --help",
        allow_abbrev=False,
    )
    folder: dict[str, Any] = {"type": Path, "metavar": "DIR", "help": "folder of runs (default: runs)"}
    parser.add_argument("--runs-dir", default=Path("runs"), **folder)
    parser.set_defaults(run=_list)
    commands = parser.add_subparsers(metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        out = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        # SUPPRESS: its absence here does not override what stands in front of the command.
        out.add_argument("--runs-dir", default=argparse.SUPPRESS, **folder)
        out.set_defaults(run=run)
        return out

    command("list", _list, "one line per run: done, running, interrupted or failed (the default command)")
    one = command("show", _show, "all that is known of a run: state, overrides, machine, numbers")
    one.add_argument("id", metavar="ID")
    diff = command("diff", _diff, "compare two runs: the keys and the numbers that differ")
    diff.add_argument("first", metavar="ID")
    diff.add_argument("second", metavar="ID")
    status = command("status", _status, "state of each row of a table, and the command that runs what is missing")
    status.add_argument("table", metavar="TABLE", help="table1, or some of its rows: table1=a,b or 'table1=glob(fnp*)'")
    status.add_argument("overrides", nargs="*", metavar="key=value", help="as for paa.train -m: recipe=mini seed=0,1,2")
    add_config_dir(status)
    command("watch", lambda o: watch(o.runs_dir), "follow the jobs submitted to SLURM until all have ended")
    stop = command(
        "cancel", lambda o: cancel(o.runs_dir, o.name), "cancel submitted jobs; they save a checkpoint first"
    )
    stop.add_argument("name", metavar="NAME", help="a table, a sweep's folder name, or a run ID")
    again = command("resubmit", lambda o: resubmit(o.runs_dir, o.kind), "submit jobs again")
    again.add_argument("kind", choices=list(KINDS), help="failed jobs, or those cancelled, lost or never submitted")
    prune = command("prune", _prune, "free disk space: remove runs, weights, checkpoints, and leftovers of killed jobs")
    prune.add_argument("ids", nargs="*", metavar="ID", help="a run to remove, or to remove only some files of")
    prune.add_argument("--weights", action="store_true", help="final weights of finished runs; their records stay")
    prune.add_argument("--checkpoints", action="store_true", help="checkpoints of failed and interrupted runs")
    prune.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    score = command("score", _score_upload, "enter an evaluation server's answer into the record of an upload")
    score.add_argument("id", metavar="ID", help="the evaluation, or its run if that has only one upload")
    score.add_argument("file", metavar="FILE", type=Path, help="the server's answer: its JSON, or its text")
    score.add_argument("--source", help="where the answer is from, such as a web address (default: the file's name)")
    score.add_argument("--date", help="day of the answer, such as 2020-07-04 (default: the file's)")
    return parser


def _status(options: argparse.Namespace) -> None:
    from paa.config.user_code import add_cwd_to_path
    from paa.planning.rows import rows_of
    from paa.planning.status import HEADER, report

    add_cwd_to_path()
    folder = [] if options.runs_dir == Path("runs") else [f"runs_dir={options.runs_dir}"]
    overrides = [*options.overrides, *folder]
    body, below = report(rows_of(options.table, overrides, config_dir=options.config_dir), options.config_dir)
    show(HEADER, body)
    print(f"\n{below}")


def _prune(options: argparse.Namespace) -> None:
    from paa.planning.prune import pieces, remove
    from paa.planning.units import size

    found = pieces(options.runs_dir, options.ids, options.weights, options.checkpoints)
    if not found:
        print("Nothing to remove. See also: python -m paa.runs prune --help")
        return
    show(["id", "what", "size"], [[one.run.train_id, one.what, size(one.bytes)] for one in found])
    total = size(sum(one.bytes for one in found))
    if not options.yes:
        answer = input(f"\nRemove {total}? [y/N] ") if sys.stdin.isatty() else ""
        if answer.strip().lower() not in ("y", "yes"):
            print(f"\nNothing was removed. --yes removes {total}.")
            return
    print(f"\n{size(remove(found))} freed")


def _score_upload(options: argparse.Namespace) -> None:
    from paa.store.server_score import enter

    paths, record, before = enter(options.runs_dir, options.id, options.file, options.source, options.date)
    assert record.score is not None
    numbers = "  ".join(f"{name} {_number(value)}" for name, value in record.numbers.items() if value is not None)
    again = "" if before is None else f" (was AP {before:.1f})"
    print(f"{paths.train_id}  {record.eval_id}  {record.split}: {numbers}{again}")
    guessed = "" if options.date else f" (the day of {options.file}; --date sets another)"
    print(f"from {record.score['source']}, {record.score['date']}{guessed}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _list(options: argparse.Namespace) -> None:
    runs_dir = options.runs_dir
    found = runs(runs_dir)
    submitted = submitted_rows(runs_dir)
    body = lines(submitted, runs_dir, 40)
    if body:
        print(summary(submitted))
        show(HEADER, body)
        print()
    if not found and not body:
        print(f"No runs in {runs_dir}. python -m paa.train makes one.")
        return
    if found:
        header = ["id", "state", "recipe", "data", "assign", "auxiliary", "seed", "steps", "AP"]
        show(header, [_line(one) for one in found])


def _line(paths: RunPaths) -> list[Any]:
    try:
        config = configuration(paths)
    except BadRecord as error:
        warnings.warn(str(error), stacklevel=1)
        config = {}
    found = list(evaluations(paths))
    trained = not paths.converted
    return [
        paths.train_id,
        str(run_status(paths)),
        keys.get(config, "recipe.name"),
        name_of(config.get("data")),
        (_boundary(config) if trained else None) or name_of(config.get("assign")),
        name_of(config.get("auxiliary")),
        config.get("seed") if trained else None,
        keys.get(config, "schedule.steps") if trained else None,
        ", ".join(f"{title} {_number(e.numbers.get('AP'))}" for e, title in zip(found, _titles(found), strict=True)),
    ]


def _boundary(config: Mapping[str, Any]) -> str | None:
    """Return the name of a boundary with its parameter: "fnp(3)"."""
    name = name_of(keys.get(config, "assign.boundary"))
    parameter = {"fnp": "n", "fsr": "t"}.get(name or "")
    return f"{name}({cell(keys.get(config, f'assign.boundary.{parameter}'))})" if parameter else name


def _title(evaluation: EvaluationRecord) -> str:
    return evaluation.split + ("+voting" if evaluation.voting else "") + ("+scales" if evaluation.multiscale else "")


def _titles(found: Sequence[EvaluationRecord]) -> list[str]:
    """Return a title for each evaluation; equal ones get the settings of postprocess that differ, and the data."""
    titles = []
    for one in found:
        alike = [other for other in found if _title(other) == _title(one)]
        differing = [k for k in one.postprocess if len({repr(other.postprocess.get(k)) for other in alike}) > 1]
        own = [f"{k}={one.postprocess[k]}" for k in differing]
        if len({other.content for other in alike}) > 1:
            own.append(f"(data {one.content[:6]})")
        titles.append(" ".join([_title(one), *own]))
    return titles


def _numbers(one: EvaluationRecord) -> dict[str, float | None]:
    """Return all numbers of an evaluation: COCO's, and the errors of the predicted IoU."""
    return {**one.numbers, "iou_error": one.iou_error, "iou_error_positives": one.iou_error_positives}


def _show(options: argparse.Namespace) -> None:
    paths = find(options.runs_dir, options.id)
    print(f"{paths.train_id}  {run_status(paths)}\n{paths.folder}\n")
    config = configuration(paths)
    if paths.finished:
        training = TrainingRecord.read(paths.record)
        print("overrides:", " ".join(training.overrides) or "none")
        names = ("steps", "seed", "wall_s", "device", "threads", "commit", "clean", "weights_sha256")
        facts = {f"converted {name}": value for name, value in training.converted.items()}
        facts |= {name: values(training, None)[name] for name in names}
        facts |= {f"version {name}": version for name, version in training.origin.get("versions", {}).items()}
        show(["made by", ""], list((facts | training.origin.get("hardware", {})).items()))
        print()
    show(["key", "value"], sorted([key, _text(value)] for key, value in keys.flatten(config).items()))
    found = list(evaluations(paths))
    if found:
        numbers = [[name, *(_numbers(e)[name] for e in found)] for name in _numbers(found[0])]
        classes = [[f"AP {c}", *(e.per_class.get(c) for e in found)] for c in found[0].per_class]
        print()
        show(["", *(f"{t} {e.eval_id}" for t, e in zip(_titles(found), found, strict=True))], numbers + classes)


def _diff(options: argparse.Namespace) -> None:
    first, second = find(options.runs_dir, options.first), find(options.runs_dir, options.second)
    header = ["", first.train_id, second.train_id]
    ours, theirs = (keys.flatten(configuration(paths)) for paths in (first, second))
    every = ((key, *(_text(of.get(key, "(none)")) for of in (ours, theirs))) for key in sorted(ours | theirs))
    differing = [(key, one, other) for key, one, other in every if one != other]
    if differing:
        show(header, differing)
    else:
        print("The configurations do not differ.")
    scored = _changes(list(evaluations(first)), list(evaluations(second)))
    print()
    if scored:
        show([*header, "change"], scored)
    else:
        print("No evaluation of both, or none whose numbers differ.")


def _changes(ours: Sequence[EvaluationRecord], theirs: Sequence[EvaluationRecord]) -> list[list[Any]]:
    """Return a row for each number that differs between evaluations with the same ID, or else the same title."""
    named = {_title(e): e for e in theirs} | {e.eval_id: e for e in theirs}
    rows: list[list[Any]] = []
    for one, title in zip(ours, _titles(ours), strict=True):
        others = _numbers(named.get(one.eval_id) or named.get(_title(one)) or one)
        for name, before in _numbers(one).items():
            after = others[name]
            if before != after:
                change = None if before is None or after is None else round(after - before, 4)
                rows.append([f"{title} {name}", before, after, change])
    return rows


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
