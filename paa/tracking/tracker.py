"""What a tracker is told of a training. The training knows nothing else of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from paa.engine.pictures import PictureSettings


@dataclass(frozen=True)
class RunInfo:
    """The run that is tracked.

    folder     of the run; a tracker writes below it alone.
    overrides  as the command line gave them.
    choices    of the configuration's groups: {"assign": "paa", ...}.
    warn       tells a person one line.
    """

    train_id: str
    folder: Path
    config: Mapping[str, Any]
    overrides: Sequence[str]
    choices: Mapping[str, str]
    warn: Callable[[str], None]


class Tracker(Protocol):
    """Follows one training; entered before its first step, left when its evaluations are recorded or it has failed.

    No call raises, waits for anything outside of the process, or changes what it is given. Lines and pictures come in
    the order of their steps, those of an earlier process of the same training first.
    """

    def line(self, values: Mapping[str, Any]) -> None:
        """A line of metrics.jsonl, with its `step`: losses, or (with `split` and `voting`) an evaluation's numbers."""

    def pictures(self, step: int, paths: Sequence[Path]) -> None:
        """Pictures of the assignment after `step` steps."""

    def evaluation(self, split: str, voting: bool, numbers: Mapping[str, float | None]) -> None:
        """An evaluation of the final weights."""

    def __enter__(self) -> Tracker:
        """Begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends, after seconds at most; an Interrupted says that the training will go on another time."""


class Tracking(Protocol):
    """The node `tracking` of a configuration."""

    @property
    def images(self) -> PictureSettings:
        """When pictures of the assignment are made."""

    def tracker(self, run: RunInfo) -> Tracker:
        """Follows `run`."""
