"""Open a finished run again, to evaluate it or to predict with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paa.config.compose import Composer
from paa.config.errors import ConfigError
from paa.config.merge import merge
from paa.experiment.device import device_of
from paa.experiment.experiment import Experiment
from paa.experiment.identify import Identity
from paa.experiment.parts import assemble
from paa.store.code_digest import refuse_untrusted
from paa.store.paths import RunPaths, find
from paa.store.record import TrainingRecord


def find_finished(runs_dir: Path, prefix: str) -> tuple[RunPaths, TrainingRecord]:
    """Return files and record of the run whose ID begins with `prefix`; RunNotFound, BadRecord, ConfigError."""
    paths = find(runs_dir, prefix)
    if not paths.finished:
        raise ConfigError(f"run={paths.train_id}: has not finished training; python -m paa.runs shows its state")
    return paths, TrainingRecord.read(paths.record)


def reopen(
    runs_dir: Path, prefix: str, overrides: Sequence[Any], composer: Composer, measured: bool = True
) -> tuple[Experiment, TrainingRecord]:
    """Return the run whose ID begins with `prefix`, with parsed `overrides` merged into its configuration; its record.

    The experiment's `evaluator(record)` detects with the final weights.
    measured  whether its splits will be evaluated; otherwise their data need not be there.
    RunNotFound, BadRecord; ConfigError if it is not finished, a key may not change, or user code has changed.
    """
    paths, record = find_finished(runs_dir, prefix)
    refuse_untrusted(record.config, record.code, record.train_id)
    was, data = Path(record.config["runs_dir"]), dict(record.config["data"])
    if isinstance(data.get("root"), str) and Path(data["root"]).is_relative_to(was):  # it moved with the runs
        data["root"] = str(runs_dir / Path(data["root"]).relative_to(was))
    config = merge({**record.config, "runs_dir": str(runs_dir), "data": data}, overrides, composer)
    parts = assemble(config)
    device_of(config)
    digests = dict(record.digests)
    for split in config["evaluate"]["splits"] if measured else ():
        digests[f"data.{split}"] = parts.source.digest(split)
    lines = [o.input_line or "" for o in overrides]
    return Experiment(parts, Identity(parts.config, digests, paths), lines, record.choices), record


def not_trained(record: TrainingRecord) -> str:
    """Return what to print for a run whose weights were imported."""
    return f"{record.train_id}  was imported from {record.source}; not trained here"
