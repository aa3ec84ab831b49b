"""What a person sees while a run goes on: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from paa import files
from paa.log import log


def duration(seconds: float) -> str:
    """ "1:02:03" or "2:03"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def describe(values: dict[str, float]) -> str:
    """Loss parts, positives per ground truth, lr and images/s as one short text."""
    losses = "  ".join(f"{k[5:]} {v:.3f}" for k, v in values.items() if k.startswith("loss_"))
    parts = [
        f"loss {values['loss']:.3f} ({losses})",
        f"pos/GT {values['positives_per_gt']:.2f}",
        f"lr {values['lr']:.2g}",
    ]
    if "images_per_s" in values:
        parts.append(f"{values['images_per_s']:.1f} img/s")
    return "  ".join(parts)


class _Bar(Progress):
    """A bar, and below it the latest numbers: side by side, a terminal of 80 columns has room for one of them."""

    values = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        yield Text(self.values)


class TrainProgress:
    """Show the progress of `steps` steps; `stream` decides the form by being a terminal or not.

    state  JSON file for other processes, on any machine, while the training runs: {"step", "steps", "time": Unix time,
           "eta_s": seconds from then to the last step}. The pace stands here and not in metrics.jsonl, because the
           metrics of equal runs are equal files.
    """

    def __init__(
        self,
        name: str,
        steps: int,
        start: int,
        stream: TextIO | None = None,
        state: Path | None = None,
    ) -> None:
        self.name, self.steps, self.start = name, steps, start
        self.stream, self._state = stream or sys.stdout, state
        self._began = time.monotonic()
        self._bar: _Bar | None = None

    def __enter__(self) -> TrainProgress:
        if self.stream.isatty():
            console = Console(file=self.stream)
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._bar = _Bar(*columns, console=console, transient=True, refresh_per_second=4)
            self._bar.start()
            self._task = self._bar.add_task(self.name, total=self.steps, completed=self.start)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._state is not None:
            self._state.unlink(missing_ok=True)

    def advance(self, done: int) -> None:
        """`done` steps of the whole are over."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    def report(self, done: int, values: dict[str, float]) -> None:
        """Shows the numbers of a logged step."""
        text = describe(values)
        if self._bar is not None:
            self._bar.values = text
            self._bar.update(self._task, completed=done)
        passed = time.monotonic() - self._began
        left = passed / max(done - self.start, 1) * (self.steps - done)
        line = f"{self.name}  {done}/{self.steps}  {text}  {duration(left)} left"
        log.log(logging.INFO if self._bar is None else logging.DEBUG, line)  # beside the bar, for the run's file only
        if self._state is not None:
            now = {"step": done, "steps": self.steps, "time": time.time(), "eta_s": left}
            files.write_bytes(self._state, files.json_bytes(now), durable=False)
