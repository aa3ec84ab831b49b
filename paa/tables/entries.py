"""What has become of the rows of a table: their runs on disk, seed by seed, and the numbers that they left."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Protocol

from paa.store.columns import value_at
from paa.store.errors import BadRecord
from paa.store.frame import UnreadableRecord, refuse_other
from paa.store.paths import RunPaths
from paa.store.record import EvaluationRecord, TrainingRecord
from paa.store.state import state

ERRORS = ("iou_error", "iou_error_positives")
"""Numbers of an evaluation that are not COCO's: errors of the predicted IoU."""


NOT_RUN = "not run"
"""Standing of a run that nobody has begun."""


class _Evaluation(Protocol):
    @property
    def split(self) -> str: ...
    @property
    def voting(self) -> bool: ...
    @property
    def eval_id(self) -> str: ...


class WantedRow(Protocol):
    """A row of a table with one seed, as composing it gives it (`paa.planning.rows.Row`)."""

    @property
    def table(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102
    @property
    def config(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def choices(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def paths(self) -> RunPaths: ...  # noqa: D102
    @property
    def evaluations(self) -> Sequence[_Evaluation]: ...  # noqa: D102


@dataclass(frozen=True)
class Summary:
    """Mean of a number over seeds; sd, their standard deviation (of a sample), None of one seed; n, how many."""

    mean: float
    sd: float | None
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Summary | None:
        """The summary of `values`; None of none."""
        every = list(values)
        if not every:
            return None
        return cls(fmean(every), stdev(every) if len(every) > 1 else None, len(every))


@dataclass(frozen=True)
class Run:
    """One seed of a row.

    training     its record; None where it has not ended.
    evaluations  {voting: record} on the split of the table, as far as they are there; matches, {voting: path}, what
                 became of each detection, as far as it is still there.
    standing     "" where all is there; else what is missing, and how far the run is: "stopped at step 12 of 30".
    """

    seed: int
    train_id: str
    training: TrainingRecord | None
    evaluations: Mapping[bool, EvaluationRecord]
    matches: Mapping[bool, Path]
    standing: str

    @property
    def begun(self) -> bool:
        """Whether anybody has ever worked on it."""
        return self.standing != NOT_RUN

    def number(self, metric: str, voting: bool) -> float | None:
        """A COCO number or one of ERRORS; None where it has not been measured."""
        record = self.evaluations.get(voting)
        if record is None:
            return None
        value = getattr(record, metric) if metric in ERRORS else record.numbers.get(metric)
        return float(value) if isinstance(value, int | float) else None


@dataclass(frozen=True)
class Entry:
    """A row of a table.

    table, name      its group and its file: "table1", "fnp_5".
    config, choices  the resolved configuration and the choices of groups, of the first seed.
    split            that the table is of. runs, one a seed.
    """

    table: str
    name: str
    config: Mapping[str, Any]
    choices: Mapping[str, str]
    split: str
    runs: tuple[Run, ...]

    def at(self, key: str) -> Any:
        """The value of a dotted key of the configuration, None where there is no such key."""
        return value_at(self.config, key)

    def values(self, metric: str, voting: bool) -> dict[int, float]:
        """{seed: number}, of the seeds that have it."""
        found = {run.seed: run.number(metric, voting) for run in self.runs}
        return {seed: value for seed, value in found.items() if value is not None}

    def summary(self, metric: str, voting: bool) -> Summary | None:
        """Mean over the seeds that have the number; None where none has."""
        return Summary.of(self.values(metric, voting).values())

    def matches(self, voting: bool) -> dict[int, Path]:
        """{seed: path of the matches}, of the seeds that have a number for AP and matches."""
        known = self.values("AP", voting)
        return {run.seed: run.matches[voting] for run in self.runs if run.seed in known and voting in run.matches}

    def ids(self, voting: bool) -> tuple[str, ...]:
        """What tells whether two entries are the same: the trainings, and the evaluations that are there."""
        evaluations = (run.evaluations.get(voting) for run in self.runs)
        return (*(run.train_id for run in self.runs), *(e.eval_id for e in evaluations if e is not None))

    def scored(self, voting: bool) -> str:
        """Where numbers come from that an evaluation server gave, "" where none did."""
        records = [run.evaluations[voting] for run in self.runs if voting in run.evaluations]
        answers = [(record.score or {}) for record in records]
        each = [f"{one.get('source', 'unknown')}, {one.get('date', 'no date')}" for one in answers if one]
        return f"the evaluation server's numbers ({'; '.join(dict.fromkeys(each))})" if each else ""

    def standing(self, voting: bool) -> str:
        """What is missing, "" where nothing is: "seed 1: stopped at step 12 of 30"; one phrase where all are alike."""
        missing = [(run.seed, _standing(run, voting)) for run in self.runs]
        texts = [text for _, text in missing if text]
        if len(texts) == len(self.runs) and len(set(texts)) == 1:
            return texts[0]
        return "; ".join(f"seed {seed}: {text}" for seed, text in missing if text)


def _standing(run: Run, voting: bool) -> str:
    if run.standing:
        return run.standing
    record = run.evaluations.get(voting)
    if record is None:
        return f"trained, not evaluated with voting {'on' if voting else 'off'}"
    return "uploaded, not scored" if record.numbers.get("AP") is None else ""


def entries(rows: Iterable[WantedRow]) -> list[Entry]:
    """The rows with what lies on disk, in the order of their first seeds.

    A record that cannot be read is named in an UnreadableRecord warning, and counts as not there.
    """
    by_name: dict[tuple[str, str], list[WantedRow]] = {}
    for row in rows:
        by_name.setdefault((row.table, row.name), []).append(row)
    return [
        Entry(
            table,
            name,
            seeds[0].config,
            seeds[0].choices,
            _split(seeds[0]),
            tuple(_run(row, _split(row)) for row in seeds),
        )
        for (table, name), seeds in by_name.items()
    ]


def _split(row: WantedRow) -> str:
    return row.evaluations[0].split if row.evaluations else "val"


def _run(row: WantedRow, split: str) -> Run:
    paths = row.paths
    steps = value_at(row.config, "schedule.steps")
    try:
        training = TrainingRecord.read(paths.record)
        refuse_other(paths.record, training.train_id, paths.train_id)
    except FileNotFoundError:
        return Run(row.seed, paths.train_id, None, {}, {}, unfinished(paths, steps))
    except BadRecord as error:
        warnings.warn(f"{error}; left out", UnreadableRecord, stacklevel=2)
        return Run(row.seed, paths.train_id, None, {}, {}, "its record cannot be read")
    wanted = {e.voting: e.eval_id for e in row.evaluations if e.split == split}
    records, matches = {}, {}
    for voting, eval_id in wanted.items():
        try:
            records[voting] = _evaluation(paths, eval_id, training)
        except FileNotFoundError:
            continue
        except BadRecord as error:
            warnings.warn(f"{error}; left out", UnreadableRecord, stacklevel=2)
            continue
        if paths.matches(eval_id).exists():
            matches[voting] = paths.matches(eval_id)
    return Run(row.seed, paths.train_id, training, records, matches, "")


def _evaluation(paths: RunPaths, eval_id: str, training: TrainingRecord) -> EvaluationRecord:
    """An evaluation of `training`. FileNotFoundError; BadRecord for one of another run, or of other weights."""
    path = paths.evaluation(eval_id)
    record = EvaluationRecord.read(path)
    refuse_other(path, record.train_id, paths.train_id)
    refuse_other(path, record.eval_id, eval_id)
    if record.weights_sha256 != training.weights_sha256:
        raise BadRecord(f"{path}: of other weights than the training ended with (their SHA-256 differs)")
    return record


def unfinished(paths: RunPaths, steps: Any) -> str:
    """How far a training is that has no record: NOT_RUN, "running, step 400 of 2500", "failed at step 12 of 30"."""
    if not paths.folder.exists():
        return NOT_RUN
    where = state(paths)
    if where.kind == "running":
        return f"running, step {where.step or 0} of {steps}"
    return f"{where.kind} at step {where.step or 0} of {steps}"
