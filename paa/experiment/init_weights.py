"""`finetune.from`: the run or file that a training starts from instead of from its backbone's weights.

A run ID contains the digest of these weights. It is computed without torch unless it has to read a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paa.config.errors import ConfigError, keys_below
from paa.store.errors import RunNotFound
from paa.store.paths import RunPaths, find
from paa.store.record import TrainingRecord

if TYPE_CHECKING:
    from torch import nn

    from paa.detector.weights import Weights

KEY = "finetune.from"
_OF_THE_INPUT = ("convention", "stride_in_1x1")


@dataclass(frozen=True)
class InitWeights:
    """Weights to start from. `record` is that of the run that they ended; None for a file of another origin."""

    name: str
    path: Path
    record: TrainingRecord | None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> InitWeights | None:
        """Return what `finetune.from` names; None where it names nothing, ConfigError where that is not there."""
        value = config["finetune"]["from"]
        if value is None:
            return None
        path = Path(value)
        if path.is_file():
            run = RunPaths(path.parent.parent, path.parent.name)
            is_final = run.weights == path and run.finished
            return cls(str(value), path, TrainingRecord.read(run.record) if is_final else None)
        run = RunPaths(path.parent, path.name)
        if not (path.is_dir() and run.finished):
            if path.suffix or len(path.parts) > 1:
                must = "must be null, a finished run's ID or the path of a file"
                raise ConfigError(f"{KEY}={value}: no such file; {must}")
            try:
                run = find(Path(config["runs_dir"]), value)
            except RunNotFound as error:
                reason = str(error).removeprefix(f"run={value}: ")
                raise ConfigError(f"{KEY}={value}: is no file, and as a run: {reason}") from error
            if not run.finished:
                raise ConfigError(f"{KEY}={run.train_id}: has not finished training; see python -m paa.runs")
        return cls(run.train_id, run.weights, TrainingRecord.read(run.record))

    def digest(self) -> str:
        """Return the digest of the tensors, whatever file they are in."""
        if self.record is not None:
            return self.record.weights_sha256
        from paa.engine.checkpoint import digest

        return digest(self._read().state)

    def into(self, detector: nn.Module, config: Mapping[str, Any], categories: Sequence[Sequence[Any]]) -> str:
        """Put the weights into `detector`, which trains on `categories` ([id, name] each); return one line about it.

        ConfigError where they do not fit, or were trained on another input.
        """
        from paa.engine.initialize import initialize

        if not self.path.is_file():
            raise ConfigError(f"{KEY}={self.name}: {self.path} was removed; train that run again, or take another")
        found = self._read()
        was = self.record.config["backbone"] if self.record else {"convention": found.convention}
        backbone = config["backbone"]
        for key in _OF_THE_INPUT:
            if was.get(key) is not None and key in backbone and backbone[key] != was[key]:
                problem = f"{KEY}={self.name}: was trained with backbone.{key}={was[key]}"
                raise ConfigError(f"{problem}, not {backbone[key]}; set backbone.{key}={was[key]}")
        same = None
        if self.record is not None:
            same = [name for _, name in self.record.categories] == [name for _, name in categories]
        with keys_below("finetune.", "from"):
            taken = initialize(detector, found.state, self.name, same)
        text = f"starts from the weights of {self.name}"
        text += f"; fresh: {', '.join(taken.fresh)}" if taken.fresh else ""
        return text + (f"; left out: {', '.join(taken.left_out)}" if taken.left_out else "")

    def _read(self) -> Weights:
        from paa.detector import weights

        with keys_below("finetune.", "from"):
            return weights.read(str(self.path))
