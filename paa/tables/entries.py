"""The rows of a table with what is on disk: the state of their runs, seed by seed, and their numbers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from paa import keys
from paa.store.errors import BadRecord
from paa.store.frame import UnreadableRecord, refuse_other
from paa.store.paths import RunPaths
from paa.store.record import EvaluationRecord, TrainingRecord
from paa.store.state import state

ERRORS = ("iou_error", "iou_error_positives")
"""Numbers of an evaluation that are not COCO's: errors of the predicted IoU."""


@dataclass(frozen=True)
class Summary:
    """Mean of a number over seeds; sd, their sample standard deviation (None for one seed); n, how many."""

    mean: float
    sd: float | None
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Summary | None:
        """Summarize `values`; None if there are none."""
        every = list(values)
        return cls(fmean(every), stdev(every) if len(every) > 1 else None, len(every)) if every else None


@dataclass(frozen=True)
class Run:
    """One seed of a row.

    begun        whether anybody has ever started it.
    missing      why there is no training record: "not run", "stopped at step 12 of 30"; "" if there is one.
    training     the record of the finished training, else None.
    evaluations  {voting: record} on the split of the table, as far as they exist.
    matches      {voting: path} of the stored matches (`paa.evaluation.matches`), as far as they exist.
    """

    seed: int
    train_id: str
    begun: bool
    missing: str
    training: TrainingRecord | None
    evaluations: Mapping[bool, EvaluationRecord]
    matches: Mapping[bool, Path]


@dataclass(frozen=True)
class Entry:
    """A row of a table.

    table, name      its group and its file: "table1", "fnp_5".
    config, choices  the resolved configuration and the choices of groups, of the first seed.
    split            the split that the table shows.
    runs             one for each seed.
    """

    table: str
    name: str
    config: Mapping[str, Any]
    choices: Mapping[str, str]
    split: str
    runs: tuple[Run, ...]

    def at(self, key: str) -> Any:
        """Return the value of a dotted key of the configuration, None if there is no such key."""
        return keys.get(self.config, key)

    def scores(self, voting: bool) -> Scores:
        """Return the evaluations with score voting on or off."""
        return Scores(self, voting)


@dataclass(frozen=True)
class Scores:
    """The evaluations of a row, with score voting on or off."""

    entry: Entry
    voting: bool

    def values(self, metric: str) -> dict[int, float]:
        """{seed: number} for a COCO number or one of ERRORS, of the seeds that have it."""
        found = {}
        for seed, record in self._records().items():
            value = getattr(record, metric) if metric in ERRORS else record.numbers.get(metric)
            if isinstance(value, int | float):
                found[seed] = float(value)
        return found

    def summary(self, metric: str) -> Summary | None:
        """Return the mean over the seeds that have the number; None if no seed has it."""
        return Summary.of(self.values(metric).values())

    def matches(self) -> dict[int, Path]:
        """{seed: path of the matches}, of the seeds that have AP and matches."""
        measured, there = self.values("AP"), [run for run in self.entry.runs if self.voting in run.matches]
        return {run.seed: run.matches[self.voting] for run in there if run.seed in measured}

    def same_as(self, other: Scores) -> bool:
        """Whether both are the same evaluations of the same trainings, under whatever names."""
        return self._ids() == other._ids() and self.voting == other.voting

    def server(self) -> str:
        """Where the numbers come from if an evaluation server gave them, else ""."""
        answers = [record.score for record in self._records().values() if record.score]
        each = [f"{answer.get('source', 'unknown')}, {answer.get('date', 'no date')}" for answer in answers]
        return f"the evaluation server's numbers ({'; '.join(dict.fromkeys(each))})" if each else ""

    def missing(self) -> str:
        """What is missing, "" if nothing: "seed 1: stopped at step 12 of 30"; without seeds if all are alike."""
        texts = {run.seed: self._missing(run) for run in self.entry.runs}
        if len(set(texts.values())) == 1:
            return next(iter(texts.values()))
        return "; ".join(f"seed {seed}: {text}" for seed, text in texts.items() if text)

    def _missing(self, run: Run) -> str:
        if run.missing:
            return run.missing
        record = run.evaluations.get(self.voting)
        if record is None:
            return f"trained, not evaluated with voting {'on' if self.voting else 'off'}"
        return "uploaded, not scored" if record.numbers.get("AP") is None else ""

    def _records(self) -> dict[int, EvaluationRecord]:
        return {run.seed: run.evaluations[self.voting] for run in self.entry.runs if self.voting in run.evaluations}

    def _ids(self) -> list[str]:
        return [*(run.train_id for run in self.entry.runs), *(r.eval_id for r in self._records().values())]


def entries(rows: Iterable[Any]) -> list[Entry]:
    """Read what is on disk of `rows` (`paa.planning.rows.Row`), in the order in which their names first appear.

    A record that cannot be read is named in an UnreadableRecord warning and counts as missing.
    """
    by_name: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        by_name.setdefault((row.table, row.name), []).append(row)
    out = []
    for (table, name), seeds in by_name.items():
        split = seeds[0].evaluations[0].split if seeds[0].evaluations else "val"
        runs = tuple(_run(row, {e.voting: e.eval_id for e in row.evaluations if e.split == split}) for row in seeds)
        out.append(Entry(table, name, seeds[0].config, seeds[0].choices, split, runs))
    return out


def _run(row: Any, eval_ids: Mapping[bool, str]) -> Run:
    paths: RunPaths = row.paths
    training, missing, records = None, "", {}
    try:
        training = TrainingRecord.read(paths.record)
        refuse_other(paths.record, training.train_id, paths.train_id)
        records = _evaluations(paths, eval_ids, training.weights_sha256)
    except FileNotFoundError:
        missing = _unfinished(paths, keys.get(row.config, "schedule.steps"))
    except BadRecord as error:
        warnings.warn(f"{error}; left out", UnreadableRecord, stacklevel=2)
        training, missing = None, "its record cannot be read"
    matches = {voting: paths.matches(record.eval_id) for voting, record in records.items()}
    there = {voting: path for voting, path in matches.items() if path.exists()}
    return Run(row.seed, paths.train_id, paths.folder.exists(), missing, training, records, there)


def _evaluations(paths: RunPaths, eval_ids: Mapping[bool, str], weights_sha256: str) -> dict[bool, EvaluationRecord]:
    """The evaluations of these weights, {voting: record}, as far as they exist."""
    out = {}
    for voting, eval_id in eval_ids.items():
        path = paths.evaluation(eval_id)
        try:
            record = EvaluationRecord.read(path)
            refuse_other(path, record.train_id, paths.train_id)
            refuse_other(path, record.eval_id, eval_id)
            if record.weights_sha256 != weights_sha256:
                raise BadRecord(f"{path}: of other weights than the training ended with (their SHA-256 differs)")
            out[voting] = record
        except FileNotFoundError:
            continue
        except BadRecord as error:
            warnings.warn(f"{error}; left out", UnreadableRecord, stacklevel=2)
    return out


def _unfinished(paths: RunPaths, steps: Any) -> str:
    """Say how far a training without a record is: "not run", "running, step 400 of 2500", "failed at step 12 of 30"."""
    if not paths.folder.exists():
        return "not run"
    where = state(paths)
    return f"{where.kind}{',' if where.kind == 'running' else ' at'} step {where.step or 0} of {steps}"
