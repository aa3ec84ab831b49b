"""`python -m paa.runs prune`: frees disk, of what no table needs. Records, evaluations and what they left always stay.

What goes is what a killed process left aside, checkpoints of runs that are finished, and, where it is asked for, final
weights of runs that have all the evaluations that a row of a table asks for. Of runs that are not finished nothing goes
but what was left aside: they go on from their checkpoints. Converted weights stay: nobody can train them here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paa.config.bulk import Bulk
from paa.config.compose import composer
from paa.config.errors import USER_ERRORS
from paa.datasets.errors import DataError
from paa.experiment.experiment import identify
from paa.experiment.parts import assemble
from paa.files import is_aside
from paa.planning.dry_run import without_plan
from paa.planning.rows import Row, rows_of, tables
from paa.store.errors import BadRecord
from paa.store.lock import acquire
from paa.store.paths import RunPaths, runs
from paa.store.record import TrainingRecord
from paa.store.state import live_owner

_NOT_OF_A_ROW = ("table", "seed=", "runs_dir=", "plan=", "device=", "threads=", "workers=", "evaluate.", "tracking")
"""How overrides begin that do not tell one table's rows from those of another time: the row itself, and what cannot
change a number."""


@dataclass(frozen=True)
class Piece:
    """Something that can go: `what` it is, of which run, and its files."""

    run: RunPaths
    what: str
    files: tuple[Path, ...]
    bytes: int


def pieces(runs_dir: Path, weights: bool, needed: Mapping[str, str]) -> list[Piece]:
    """All that can go, by run.

    weights  final weights as well, but of runs in `needed` ({train_id: why}).
    """
    found = []
    for run in runs(runs_dir):
        if live_owner(run) is not None:
            continue
        aside = [f for folder in (run.folder, run.checkpoints, run.evals, run.lock) for f in _aside(folder)]
        found.append(_piece(run, "left by a killed process", aside))
        if run.finished and run.checkpoints.is_dir():
            found.append(_piece(run, "checkpoints of a finished run", _files(run.checkpoints)))
        if weights and run.finished and not run.converted and run.train_id not in needed and run.weights.exists():
            found.append(_piece(run, "final weights", [run.weights]))
    return [piece for piece in found if piece.files]


def remove(found: Iterable[Piece]) -> int:
    """Removes the pieces; the bytes that went. What another process has taken up in the meantime stays."""
    freed = 0
    for piece in found:
        lock = acquire(piece.run.lock, if_locked="skip")
        if lock is None:
            continue
        with lock:
            if piece.what != "left by a killed process" and not piece.run.finished:
                continue
            for file in piece.files:
                file.unlink(missing_ok=True)
            if piece.run.finished and piece.run.checkpoints.is_dir() and not any(piece.run.checkpoints.iterdir()):
                shutil.rmtree(piece.run.checkpoints, ignore_errors=True)
            freed += piece.bytes
    return freed


def needed_weights(runs_dir: Path, config_dir: str | None = None, only: Sequence[str] | None = None) -> dict[str, str]:
    """{train_id: why} of finished runs whose weights somebody still wants.

    A row of a table, composed as this run or another one here was (its recipe, its data, its other overrides), is this
    very training and lacks an evaluation; or a run that is not finished starts from the weights. A run whose overrides
    cannot be composed here keeps its weights.

    only  the tables to look at, or some rows of one ("table2=a,b"); None: all.
    """
    found: dict[str, str] = {}
    contexts: dict[tuple[tuple[str, ...], str], list[TrainingRecord]] = {}
    for run in runs(runs_dir):
        if run.converted:
            continue
        if not run.finished:
            found |= _wanted_to_start(run, runs_dir)
            continue
        try:
            record = TrainingRecord.read(run.record)
        except BadRecord as error:
            found[run.train_id] = str(error)
            continue
        for words in dict.fromkeys([_as_asked(record), _plain(record)]):
            contexts.setdefault((words, str(sorted(record.digests.items()))), []).append(record)
    for (words, _), records in contexts.items():
        problem = _problem(words, records[0], config_dir)
        if problem is None:
            found |= _lacking(words, records, runs_dir, config_dir, only)
        elif words == _as_asked(records[0]):
            found |= {record.train_id: f"what it was asked for cannot be composed ({problem})" for record in records}
    return found


def _problem(words: Sequence[str], record: TrainingRecord, config_dir: str | None) -> str | None:
    """Why these overrides cannot be composed and named here; None where they can."""
    try:
        with composer(config_dir) as compose:
            parts = assemble(without_plan(Bulk(compose).resolved(words).config)[0])
            identify(parts, known=record.digests)
    except USER_ERRORS as error:
        return str(error)
    return None


def _lacking(
    words: Sequence[str],
    records: Sequence[TrainingRecord],
    runs_dir: Path,
    config_dir: str | None,
    only: Sequence[str] | None,
) -> dict[str, str]:
    """{train_id: row and what it lacks} of finished trainings that are rows under these overrides."""
    found, seeds = dict[str, str](), sorted({record.seed for record in records})
    every = [*words, f"runs_dir={runs_dir}", f"seed={','.join(map(str, seeds))}"]
    with composer(config_dir) as compose:
        names = list(only or tables(compose))
    # The numbers of Table 3 are those of COCO's server, which takes detections on another split.
    coco = records[0].choices.get("data") == "coco"
    more = [(name, "data.split=test-dev") for name in names if coco and name.partition("=")[0] == "table3"]
    for table, split in [*((name, None) for name in names), *more]:
        asked, digests = [*every, split] if split else every, records[0].digests
        try:
            rows = _rows(table, asked, config_dir, digests)
        except USER_ERRORS:  # none of its rows goes with these overrides
            continue
        for row in rows:
            left = [one for one in row.evaluations if not row.paths.evaluation(one.eval_id).exists()]
            if left and row.paths.finished:
                lacks = f"{len(left)} evaluation{'s' * (len(left) != 1)}"
                found[row.train_id] = f"{row.table}={row.name} lacks {lacks} on {left[0].split}"
    return found


def _rows(table: str, words: Sequence[str], config_dir: str | None, digests: Mapping[str, str]) -> Sequence[Row]:
    """The rows of a table. Of images of COCO's server that are not here no evaluation can have been made."""
    try:
        return rows_of(table, words, config_dir=config_dir, digests=digests).all
    except DataError:
        return rows_of(table, words, config_dir=config_dir, digests={"data.test-dev": "not here"} | dict(digests)).all


def _as_asked(record: TrainingRecord) -> tuple[str, ...]:
    """The overrides of a run without those of a row and of its circumstances."""
    return tuple(word for word in record.overrides if not word.lstrip("+").startswith(_NOT_OF_A_ROW))


def _plain(record: TrainingRecord) -> tuple[str, ...]:
    """Its recipe and data alone: whoever asks for a table says no more."""
    data, words = record.config["data"], [f"recipe={value}"] if (value := record.config["recipe"].get("name")) else []
    if record.choices.get("data") and "root" in data and record.choices["data"] != "shapes":
        words += [f"data={record.choices['data']}", f"data.root={data['root']}"]
    return tuple(words)


def _wanted_to_start(run: RunPaths, runs_dir: Path) -> dict[str, str]:
    """The run whose weights an unfinished one starts from, as its configuration names it."""
    import yaml

    try:
        config = yaml.safe_load(run.config.read_bytes())
        start = config["finetune"]["from"]
    except (OSError, yaml.YAMLError, TypeError, KeyError):
        return {}
    if not isinstance(start, str):
        return {}
    names = [other.train_id for other in runs(runs_dir) if Path(start).name and other.train_id.startswith(start)]
    names += [part for part in Path(start).parts if RunPaths(runs_dir, part).finished]
    return dict.fromkeys(names, f"{run.train_id} starts from them")


def _piece(run: RunPaths, what: str, files: Sequence[Path]) -> Piece:
    return Piece(run, what, tuple(files), sum(file.stat().st_size for file in files if file.exists()))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _aside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if is_aside(path)) if folder.is_dir() else []
