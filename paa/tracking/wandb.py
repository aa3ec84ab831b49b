"""Weights & Biases: the lines of metrics.jsonl as rows, pictures of the assignment, and the final numbers.

A thread of its own does all that could wait, from the login on; training puts what it has into a queue and goes on. A
step's row is sent when the step is complete (its losses, its evaluation, its pictures), and never twice: after a
restart, what Weights & Biases already has is left out, and what it lacks is sent again from metrics.jsonl.
"""

from __future__ import annotations

import importlib
import queue
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from paa import checks
from paa.engine.pictures import PictureSettings
from paa.engine.signals import Interrupted
from paa.tracking.files import Files
from paa.tracking.session import Session, abandon, sync_command
from paa.tracking.tracker import RunInfo

_WAITING = 10_000  # rows that may wait for the thread: hours of training
_GRACE_S = 5.0  # beyond timeout_s, to end what was begun
_UNTOLD = ("tracking", "runs_dir", "device", "threads", "workers", "checkpoint", "lock", "hydra")


class Wandb(Files):
    """Settings of Weights & Biases, over those of `Files`.

    mode       "online", or "offline": into files that `wandb sync` sends.
    project, entity, group, name, tags, notes   of the run there; a name of None is made of the overrides.
    system_stats  whether wandb samples CPU, memory and GPU.
    timeout_s  seconds within which the server must answer first, and that the end of a run waits for it at most.
    """

    def __init__(
        self,
        log_every: int = 20,
        images: PictureSettings | None = None,
        mode: str = "online",
        project: str = "paa",
        entity: str | None = None,
        group: str | None = None,
        name: str | None = None,
        tags: Sequence[str] = (),
        notes: str | None = None,
        system_stats: bool = True,
        timeout_s: float = 15,
    ) -> None:
        super().__init__(log_every, images)
        self.mode = checks.choice("mode", mode, ("online", "offline"))
        if not isinstance(project, str) or not project or set(project) & set("/\\#?%:"):
            raise checks.OutOfRange("project", f"={project}: must be a name without any of / \\ # ? % :")
        self.project = project
        for key, value in (("entity", entity), ("group", group), ("name", name), ("notes", notes)):
            if value is not None and (not isinstance(value, str) or not value):
                raise checks.OutOfRange(key, f"={value}: must be a text or null")
        self.entity, self.group, self.name, self.notes = entity, group, name, notes
        self.tags = checks.sequence("tags", tags, "a list of words")
        if not all(isinstance(tag, str) and 1 <= len(tag) <= 64 for tag in self.tags):
            raise checks.OutOfRange("tags", f"={list(tags)}: must be a list of words of 1 to 64 letters")
        self.system_stats = checks.flag("system_stats", system_stats)
        self.timeout_s = checks.number("timeout_s", timeout_s, low=1, high=600)

    def tracker(self, run: RunInfo) -> WandbTracker:  # type: ignore[override]
        """Follows `run` as the wandb run of its train_id."""
        return WandbTracker(self, run)


class WandbTracker:
    """Hands rows to a thread that hands them to wandb; the first failure ends the tracking with one warning."""

    def __init__(self, settings: Wandb, run: RunInfo) -> None:
        self.settings, self.run = settings, run
        self._rows: queue.Queue[Callable[[Session], None]] = queue.Queue(_WAITING)
        self._row: tuple[int, dict[str, Any], list[Path]] | None = None
        self._dead, self._telling = False, threading.Lock()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)

    def __enter__(self) -> WandbTracker:
        hooks = sys.exit, sys.excepthook
        try:
            importlib.import_module("wandb")
        except Exception as error:  # whatever an installation may be broken by
            missing = isinstance(error, ModuleNotFoundError) and error.name == "wandb"
            self._give_up("is not installed (pip install wandb)" if missing else f"cannot be imported ({error})")
            return self
        self._hooks = hooks
        self._thread.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._dead:
            return
        interrupted = isinstance(error, Interrupted)
        if not interrupted:  # else the step may still get its evaluation, and its row is sent by who goes on
            self._complete()
        self._put(lambda session: session.finish(error is None, interrupted))
        self._thread.join(self.settings.timeout_s + _GRACE_S)
        if self._thread.is_alive():
            self._give_up("does not answer")
            abandon()

    def line(self, values: Mapping[str, Any]) -> None:
        """A line of metrics.jsonl."""
        if "split" in values:
            prefix = _prefix(values["split"], values["voting"])
            rest = {k: v for k, v in values.items() if k not in ("step", "split", "voting")}
        else:
            prefix, rest = "train", {k: v for k, v in values.items() if k != "step"}
        named = {f"{prefix}/{key}": value for key, value in rest.items() if value is not None}
        self._at(values["step"])[1].update(named)

    def pictures(self, step: int, paths: Sequence[Path]) -> None:
        """Pictures of the assignment."""
        if paths:
            self._at(step)[2].extend(paths)

    def evaluation(self, split: str, voting: bool, numbers: Mapping[str, float | None]) -> None:
        """An evaluation of the final weights, into the summary; the last one's AP also by its bare name."""
        self._complete()
        named = {f"{_prefix(split, voting)}/{key}": value for key, value in numbers.items()}
        values = {key: value for key, value in {**named, "AP": numbers.get("AP")}.items() if value is not None}
        self._put(lambda session: session.summary(values))

    def _at(self, step: int) -> tuple[int, dict[str, Any], list[Path]]:
        """The row of `step`, which completes the row of an earlier one."""
        if self._row is not None and self._row[0] != step:
            self._complete()
        if self._row is None:
            self._row = (step, {}, [])
        return self._row

    def _complete(self) -> None:
        if self._row is not None:
            row, self._row = self._row, None
            self._put(lambda session: session.row(*row))

    def _put(self, work: Callable[[Session], None]) -> None:
        if self._dead:
            return
        try:
            self._rows.put_nowait(work)
        except queue.Full:
            self._give_up("does not keep up")

    def _work(self) -> None:
        try:
            session = Session(self.settings, self.run, run_name(self.settings, self.run))
            sys.exit, sys.excepthook = self._hooks  # wandb puts its own there
            while not session.finished and not self._dead:
                self._rows.get()(session)
        except Exception as error:
            lines = str(error).splitlines()
            self._give_up(lines[0] if lines else type(error).__name__)
            if not isinstance(error, TimeoutError):  # then it is slow, and its files are whole
                abandon()

    def _give_up(self, reason: str) -> None:
        """Ends the tracking: one line, whoever finds out first. It is told before others see that it is over."""
        with self._telling:
            if self._dead:
                return
            reason = reason if reason.startswith(("is ", "does ", "cannot ")) else f"has failed ({reason})"
            stored = "" if not list((self.run.folder / "wandb").glob("*run-*")) else f" {sync_command(self.run.folder)}"
            self.run.warn(f"warning: wandb {reason}; training goes on without it.{stored}")
            self._dead = True


def run_name(settings: Wandb, run: RunInfo) -> str:
    """ "assign.boundary=fnp seed=1", or the run's id where the command line changes nothing that counts."""
    if settings.name is not None:
        return settings.name
    told = [o for o in run.overrides if o.lstrip("+").split("=")[0].split(".")[0].split("/")[0] not in _UNTOLD]
    text = " ".join(told) or run.train_id
    return text if len(text) <= 120 else text[:117] + "..."


def _prefix(split: str, voting: bool) -> str:
    return f"{split}/voting_{'on' if voting else 'off'}"
