"""No tracking but the files that a run writes anyway; and the interface of every other tracking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from paa import checks
from paa.engine.pictures import PictureSettings


@dataclass(frozen=True)
class RunInfo:
    """Describe the run that is tracked.

    folder     of the run; a tracker writes only below it.
    overrides  as the command line gave them.
    choices    of the configuration's groups: {"assign": "paa", ...}.
    """

    train_id: str
    folder: Path
    config: Mapping[str, Any]
    overrides: Sequence[str]
    choices: Mapping[str, str]


class Tracker:
    """Follow one training; entered before its first step, left when its evaluations are recorded or it has failed.

    No call raises or changes what it is given. Lines and pictures come in the order of their steps, those of an earlier
    process of the same training first. This one does nothing.
    """

    def line(self, values: Mapping[str, Any]) -> None:
        """Take a line of metrics.jsonl with its `step`: losses, or (with `split` and `voting`) an evaluation."""

    def pictures(self, step: int, paths: Sequence[Path]) -> None:
        """Take pictures of the assignment after `step` steps."""

    def evaluation(self, split: str, voting: bool, numbers: Mapping[str, float | None]) -> None:
        """Take an evaluation of the final weights."""

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the tracking; an Interrupted means that the training will be resumed."""


@dataclass
class Files(checks.Checked):
    """Write metrics.jsonl, log and images/ in the run's folder, as every training does.

    log_every  steps between lines of metrics.jsonl; images: when pictures of the assignment are made.
    """

    log_every: int = checks.checked(checks.integer, 20, low=1)
    images: PictureSettings = field(default_factory=PictureSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.images, PictureSettings):
            raise checks.OutOfRange("images", f"={self.images}: is a node; set one of its keys: steps, count")

    def tracker(self, run: RunInfo) -> Tracker:
        """Return the tracker that follows `run`."""
        return Tracker()
