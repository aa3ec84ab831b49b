"""No tracking but the files that a run keeps anyway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paa import checks
from paa.engine.pictures import PictureSettings
from paa.tracking.tracker import RunInfo


class Files:
    """metrics.jsonl, log and images/ in the run's folder: all that a training writes by itself.

    log_every  steps between lines of metrics.jsonl; images: when pictures of the assignment are made, None for never.
    """

    def __init__(self, log_every: int = 20, images: PictureSettings | None = None) -> None:
        self.log_every = checks.integer("log_every", log_every, low=1)
        if images is not None and not isinstance(images, PictureSettings):
            raise checks.OutOfRange("images", f"={images}: holds keys and is no value itself: steps, count")
        self.images = images or PictureSettings()

    def tracker(self, run: RunInfo) -> Silent:
        """One that does nothing."""
        return Silent()


class Silent:
    """The tracker that does nothing."""

    def line(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def pictures(self, step: int, paths: Sequence[Path]) -> None:
        """Nothing."""

    def evaluation(self, split: str, voting: bool, numbers: Mapping[str, float | None]) -> None:
        """Nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *error: object) -> None:
        pass
