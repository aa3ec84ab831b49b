"""Weights & Biases: the lines of metrics.jsonl as rows, pictures of the assignment, and the final numbers.

wandb talks to its server in a separate process; training waits for it only when a run begins and ends, for timeout_s
seconds at most each. A step's row is sent when the step is complete (its losses, its evaluation, its pictures), and
only once: a resumed training sends from metrics.jsonl what comes after the last row that was logged.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from paa import files
from paa.checks import OutOfRange, checked, choice, flag, number, sequence, text
from paa.engine.signals import Interrupted
from paa.log import log
from paa.store.provenance import commit
from paa.tracking.files import Files, RunInfo, Tracker

_NOT_IN_NAME = ("tracking", "runs_dir", "device", "threads", "workers", "checkpoint", "lock", "hydra")


@dataclass
class Wandb(Files):
    """Settings of Weights & Biases, besides those of `Files`.

    mode       "online", or "offline": into files that `wandb sync` sends.
    project, entity, group, name, tags, notes   of the run there; a name of None is made of the overrides.
    system_stats  whether wandb samples CPU, memory and GPU.
    timeout_s  seconds that a run waits for the server at most when it begins, and again when it ends.
    """

    mode: Literal["online", "offline"] = checked(choice, "online", choices=("online", "offline"))
    project: str = "paa"
    entity: str | None = checked(text, None)
    group: str | None = checked(text, None)
    name: str | None = checked(text, None)
    tags: Sequence[str] = checked(sequence, (), what="a list of words")
    notes: str | None = checked(text, None)
    system_stats: bool = checked(flag, True)
    timeout_s: float = checked(number, 15, low=1, high=600)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.project, str) or not self.project or set(self.project) & set("/\\#?%:"):
            raise OutOfRange("project", f"={self.project}: must be a name without any of / \\ # ? % :")
        if not all(isinstance(tag, str) and 1 <= len(tag) <= 64 for tag in self.tags):
            raise OutOfRange("tags", f"={list(self.tags)}: must be a list of words of 1 to 64 letters")

    def tracker(self, run: RunInfo) -> WandbTracker:
        """Return the tracker that follows `run` as the wandb run of its train_id."""
        return WandbTracker(self, run)


class WandbTracker(Tracker):
    """Log rows to wandb; the first failure ends the tracking with one warning."""

    def __init__(self, settings: Wandb, info: RunInfo) -> None:
        self.settings, self.info, self.folder = settings, info, info.folder / "wandb"
        self._last = self.folder / "last_step.json"
        self._run: Any = None  # not opened yet, or given up
        self._next = 0  # the first step that wandb does not have
        self._step, self._row = 0, dict[str, Any]()  # what is known of a step that is not complete

    def __enter__(self) -> WandbTracker:
        hooks = sys.exit, sys.excepthook
        with self._warning():
            self._run = self._open()
            self._next = files.read_json(self._last)["step"] + 1 if self._last.exists() else 0
        sys.exit, sys.excepthook = hooks  # wandb's own would print tracebacks
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        interrupted = isinstance(error, Interrupted)
        if not interrupted:  # else the step may still get its evaluation, and its row is sent on resumption
            self._complete()
        with self._warning():
            if self._run is not None:
                if interrupted:
                    self._run.mark_preempting()
                self._run.finish(exit_code=0 if error is None else 1)

    def line(self, values: Mapping[str, Any]) -> None:
        """Add a line of metrics.jsonl to the row of its step."""
        prefix = _prefix(values["split"], values["voting"]) if "split" in values else "train"
        rest = {k: v for k, v in values.items() if k not in ("step", "split", "voting") and v is not None}
        self._at(values["step"]).update({f"{prefix}/{key}": value for key, value in rest.items()})

    def pictures(self, step: int, paths: Sequence[Path]) -> None:
        """Add pictures of the assignment to the row of their step."""
        if paths:
            self._at(step).update({f"assignment/{path.stem}": path for path in paths})

    def evaluation(self, split: str, voting: bool, numbers: Mapping[str, float | None]) -> None:
        """Put an evaluation of the final weights into the summary; the last one's AP also under its bare name."""
        self._complete()
        named = {f"{_prefix(split, voting)}/{key}": value for key, value in numbers.items()} | {"AP": numbers.get("AP")}
        with self._warning():
            if self._run is not None:
                self._run.summary.update({key: value for key, value in named.items() if value is not None})

    def _at(self, step: int) -> dict[str, Any]:
        """Return the row of `step`; the row of an earlier step is complete."""
        if step != self._step:
            self._complete()
            self._step = step
        return self._row

    def _complete(self) -> None:
        row, self._row = self._row, {}
        if self._run is None or not row or self._step < self._next:
            return
        with self._warning():
            from wandb import Image

            shown = {key: Image(str(value)) if isinstance(value, Path) else value for key, value in row.items()}
            self._run.log(shown, step=self._step, commit=True)
            files.write_bytes(self._last, files.json_bytes({"step": self._step}), durable=False)
            self._next = self._step + 1

    def _open(self) -> Any:
        """Open the run, or open it again under its id."""
        import wandb

        self.folder.mkdir(exist_ok=True)  # where it cannot be made, wandb would write elsewhere
        os.environ.pop("WANDB_SERVICE", None)  # the process of wandb that a parent process started may have ended
        wandb.setup(wandb.Settings(silent=True))  # or the login would print, and ask on a terminal
        own, info = self.settings, self.info
        settings = wandb.Settings(
            silent=True,
            console="off",  # our stdout and stderr stay ours
            symlink=False,
            save_code=False,
            disable_code=True,
            disable_git=True,  # the commit is in the configuration; no patch of uncommitted work leaves the machine
            init_timeout=own.timeout_s,
            finish_timeout=own.timeout_s,
            finish_timeout_raises=True,
            x_disable_stats=not own.system_stats,
        )
        arguments: dict[str, Any] = {
            "id": info.train_id,
            "name": run_name(own, info),
            **{key: getattr(own, key) for key in ("project", "entity", "group", "notes")},
            "tags": list(own.tags) or None,
            "config": shown_config(info),
            "dir": str(info.folder),
            "resume": "allow",
            "reinit": "create_new",  # a run that the caller has open stays open
            "settings": settings,
        }
        try:
            return wandb.init(mode=own.mode, **arguments)
        except Exception as error:
            with suppress(Exception):
                wandb.teardown()  # its process may have ended; the next call starts another one
            run = wandb.init(mode="offline", **arguments)
            if own.mode == "online":
                offline = "wandb cannot go online (%s); tracking is offline. %s"
                log.warning(offline, _reason(error), self._sync_command())
            return run

    @contextmanager
    def _warning(self) -> Iterator[None]:
        """Turn an exception into a warning and the end of the tracking."""
        try:
            yield
        except Exception as error:
            hint = " (pip install wandb)" if isinstance(error, ModuleNotFoundError) else ""
            stored = f" {self._sync_command()}" if list(self.folder.glob("*run-*")) else ""
            log.warning("wandb failed (%s)%s; training continues without it.%s", _reason(error), hint, stored)
            self._run = None
            if "wandb" in sys.modules and not isinstance(error, TimeoutError):  # then it is slow, and its files whole
                with suppress(Exception):
                    sys.modules["wandb"].teardown()

    def _sync_command(self) -> str:
        return f"Upload later: wandb sync --include-online {self.folder}"


def run_name(settings: Wandb, run: RunInfo) -> str:
    """Return "assign.boundary=fnp seed=1", or the run's id where the command line changes nothing that matters."""
    if settings.name is not None:
        return settings.name
    shown = [o for o in run.overrides if re.split(r"[=./]", o.lstrip("+"))[0] not in _NOT_IN_NAME]
    text = " ".join(shown) or run.train_id
    return text if len(text) <= 120 else text[:117] + "..."


def shown_config(run: RunInfo) -> dict[str, Any]:
    """Return the configuration as wandb shows it (nested nodes become dotted columns), and the origin of the run."""
    head, clean = commit()
    return {
        **{key: value for key, value in run.config.items() if key != "tracking"},
        "choices": {re.sub(r"\W+", "_", group): choice for group, choice in run.choices.items()},
        "train_id": run.train_id,
        "commit": head,
        "clean": clean,
    }


def _prefix(split: str, voting: bool) -> str:
    return f"{split}/voting_{'on' if voting else 'off'}"


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
