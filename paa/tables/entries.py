"""The rows of a table with what is on disk: the state of their runs, seed by seed, and their numbers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from paa.store import keys
from paa.store.frame import UnreadableRecord, evaluations, training
from paa.store.paths import RunPaths
from paa.store.record import EvaluationRecord, TrainingRecord
from paa.store.status import run_status

ERRORS = ("iou_error", "iou_error_positives")
"""Numbers of an evaluation that are not COCO's: errors of the predicted IoU."""


@dataclass(frozen=True)
class Run:
    """One seed of a row.

    paths        its files.
    begun        whether anybody has ever started it.
    missing      why there is no training record: "missing", "interrupted at step 12 of 30"; "" if there is one.
    training     the record of the finished training, else None.
    evaluations  {voting: record} on the split of the table, as far as they exist.
    """

    seed: int
    paths: RunPaths
    begun: bool
    missing: str
    training: TrainingRecord | None
    evaluations: Mapping[bool, EvaluationRecord]


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

    def matches(self) -> dict[int, Path]:
        """{seed: path of the matches}, of the seeds that have AP and matches."""
        records, paths = self._records(), {run.seed: run.paths for run in self.entry.runs}
        found = {seed: paths[seed].matches(records[seed].eval_id) for seed in self.values("AP")}
        return {seed: path for seed, path in found.items() if path.exists()}

    @property
    def ids(self) -> list[str]:
        """IDs of its trainings and evaluations: rows with equal ones are the same, under whatever names."""
        return [*(run.paths.train_id for run in self.entry.runs), *(r.eval_id for r in self._records().values())]

    def server(self) -> str:
        """Where the numbers come from if an evaluation server gave them, else ""."""
        answers = [record.score for record in self._records().values() if record.score]
        each = [f"{answer.get('source', 'unknown')}, {answer.get('date', 'no date')}" for answer in answers]
        return f"the evaluation server's numbers ({'; '.join(dict.fromkeys(each))})" if each else ""

    def missing(self) -> str:
        """What is missing, "" if nothing: "seed 1: interrupted at step 12 of 30"; without seeds if all are alike."""
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
        runs = tuple(_run(row, split) for row in seeds)
        out.append(Entry(table, name, seeds[0].config, seeds[0].choices, split, runs))
    return out


def _run(row: Any, split: str) -> Run:
    paths: RunPaths = row.paths
    status = run_status(paths, steps=keys.get(row.config, "schedule.steps"))
    begun, record = status.kind != "missing", training(paths)
    if record is None:
        state = str(replace(status, host="", detail="", seconds_left=None))
        return Run(row.seed, paths, begun, "its record cannot be read" if paths.finished else state, None, {})
    wanted = {e.eval_id for e in row.evaluations if e.split == split}
    records = {}
    for found in evaluations(paths):
        if found.eval_id in wanted and found.weights_sha256 == record.weights_sha256:
            records[found.voting] = found
        elif found.eval_id in wanted:
            path = paths.evaluation(found.eval_id)
            warnings.warn(f"{path}: evaluated other weights; left out", UnreadableRecord, stacklevel=2)
    return Run(row.seed, paths, begun, "", record, records)
