"""All records below a folder of runs, and one pandas frame of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paa.store.columns import COLUMNS, values
from paa.store.errors import BadRecord
from paa.store.paths import RunPaths, runs
from paa.store.record import EvaluationRecord, Record, TrainingRecord

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {str: "string", int: "Int64", float: "float64", bool: "boolean"}


class UnreadableRecord(UserWarning):
    """A file below the runs' folder that stands where a record should, and is none."""


def collect(runs_dir: Path | str = "runs") -> pd.DataFrame:
    """A row for each finished training and each of its evaluations; a training without any has one row.

    Columns, always all of them, in the order and with the meaning of `paa.store.columns.COLUMNS`; text is "string",
    whole numbers "Int64", other numbers "float64", truth values "boolean"; missing is NA or NaN. Rows are sorted by
    train_id and eval_id. Files that are torn, foreign or of another run are left out, each named in an
    UnreadableRecord warning.
    """
    import pandas as pd

    rows = [values(training, one) for _, training, found in scan(Path(runs_dir)) for one in found or (None,)]
    return pd.DataFrame({c.name: pd.Series([each[c.name] for each in rows], dtype=_DTYPES[c.kind]) for c in COLUMNS})


def scan(runs_dir: Path) -> Iterator[tuple[RunPaths, TrainingRecord, list[EvaluationRecord]]]:
    """Every finished training below `runs_dir` with its evaluations, by id. Warns as `collect` does."""
    for paths in runs(runs_dir):
        record = training(paths)
        if record is not None:
            yield paths, record, list(evaluations(paths))


def training(paths: RunPaths) -> TrainingRecord | None:
    """Return the record of a finished training, None if it is not finished. Warns as `collect` does."""
    return _read(TrainingRecord, paths.record, {"train_id": paths.train_id})


def evaluations(paths: RunPaths) -> Iterator[EvaluationRecord]:
    """The finished evaluations of a run, by id. Warns as `collect` does."""
    for path in sorted(paths.evals.glob("[!.]*.json")):
        record = _read(EvaluationRecord, path, {"train_id": paths.train_id, "eval_id": path.stem})
        if record is not None:
            yield record


def _read(kind: type[Record], path: Path, ids: Mapping[str, str]) -> Record | None:
    """The record at `path`; None with a warning where it is none or has other `ids`, without one where it is gone."""
    try:
        record = kind.read(path)
        for name, lies in ids.items():
            if getattr(record, name) != lies:
                raise BadRecord(f"{path}: the record of {getattr(record, name)}, which does not belong here")
    except FileNotFoundError:
        return None
    except BadRecord as error:
        warnings.warn(f"{error}; left out", UnreadableRecord, stacklevel=3)
        return None
    return record


def configuration(paths: RunPaths) -> dict[str, Any]:
    """The configuration of a run, finished or not; empty where it has not been written yet. BadRecord."""
    if paths.finished:
        return TrainingRecord.read(paths.record).config
    import yaml

    try:
        config = yaml.load(paths.config.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError:
        return {}
    except (OSError, yaml.YAMLError) as error:
        raise BadRecord(f"{paths.config}: not a configuration ({error})") from error
    if not isinstance(config, dict):
        raise BadRecord(f"{paths.config}: not a configuration")
    return config
