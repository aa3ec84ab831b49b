"""A finished run, opened again to evaluate or predict: its own configuration, and what the command line names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from paa.config.compose import Composer, resolved
from paa.config.errors import ConfigError
from paa.config.suggestions import explain_choice, explain_override, listed
from paa.config.test_time_keys import OPEN
from paa.experiment.experiment import Experiment, Identity
from paa.experiment.parts import assemble, device_of
from paa.store.code_digest import refuse_untrusted
from paa.store.paths import RunPaths, find
from paa.store.record import TrainingRecord


def settings(overrides: Sequence[Override], names: Sequence[str]) -> tuple[dict[str, Any], list[Override]]:
    """Splits off the command's own keys (`run`, `runs_dir`, ...) from overrides of the run's configuration."""
    own = {o.key_or_group: o.value() for o in overrides if o.key_or_group in names}
    return own, [o for o in overrides if o.key_or_group not in names]


def reopen(
    runs_dir: Path, prefix: str, overrides: Sequence[Override], composer: Composer, measured: bool = True
) -> tuple[Experiment, TrainingRecord]:
    """The run whose id begins with `prefix`, with `overrides` merged into its own configuration; never into today's.

    measured  whether its splits are to be evaluated; else their data need not be there.
    RunNotFound, BadRecord, and ConfigError where it is not finished, a key may not change, or code of one's own has.
    """
    paths = find(runs_dir, prefix)
    if not paths.finished:
        raise ConfigError(f"run={paths.train_id}: has not finished training; python -m paa.runs shows where it stands")
    record = TrainingRecord.read(paths.record)
    refuse_untrusted(record.config, record.code, record.train_id)
    cfg = OmegaConf.create(record.config)
    assert isinstance(cfg, DictConfig)
    _move(cfg, runs_dir)
    for override in sorted(overrides, key=lambda o: not composer.is_group(o.key_or_group)):  # choices, then their keys
        _merge(cfg, override, composer)
    config = resolved(cfg)
    parts = assemble(config)
    device_of(config)
    digests = dict(record.digests)
    for split in config["evaluate"]["splits"] if measured else ():
        digests[f"data.{split}"] = parts.source.digest(split)
    identity = Identity(digests, record.train_id, RunPaths(runs_dir, record.train_id))
    lines = [o.input_line or "" for o in overrides]
    return Experiment(parts, identity, lines, record.choices), replace(record, config=config)


def not_trained(record: TrainingRecord) -> str:
    """What to say of a run whose weights were converted."""
    return f"{record.train_id}  was converted from {record.source}; not trained here"


def _move(cfg: DictConfig, runs_dir: Path) -> None:
    """Data that lay below the folder of runs lie there still, wherever it is now and whoever asks from where."""
    was, root = Path(cfg.runs_dir), OmegaConf.select(cfg, "data.root")
    if isinstance(root, str) and Path(root).is_relative_to(was):
        cfg.data.root = str(runs_dir / Path(root).relative_to(was))
    cfg.runs_dir = str(runs_dir)


def _merge(cfg: DictConfig, override: Override, composer: Composer) -> None:
    key = override.key_or_group
    if override.is_add() or override.is_delete() or override.is_force_add():
        raise ConfigError(f"{override.input_line}: a finished run takes key=value alone")
    if not any(key == name or key.startswith(f"{name}.") for name in OPEN):
        raise ConfigError(f"{key}: cannot change once a run is trained; what can: {listed(OPEN)}")
    if composer.is_group(key):
        problem = explain_choice(key, override.value(), composer.options(key))
        if problem:
            raise ConfigError(problem)
        OmegaConf.update(cfg, key, composer.group(key, str(override.value())), merge=False)
        return
    if key == "data.split":  # evaluate.splits follows it in conf/; here it is resolved, or older than the key
        cfg.data.setdefault("split", None)
        OmegaConf.update(cfg, "evaluate.splits", [override.value()], merge=False)
    problem = explain_override(override, cfg, [])
    if problem:
        raise ConfigError(problem)
    OmegaConf.update(cfg, key, override.value(), merge=False)
