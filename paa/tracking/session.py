"""A wandb run, opened anew or taken up under its id, as the thread of `paa.tracking.wandb` uses it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paa.store.provenance import commit
from paa.tracking.stored import last_step
from paa.tracking.tracker import RunInfo

if TYPE_CHECKING:
    from paa.tracking.wandb import Wandb


_UNREACHED = "WandbServiceConnectionError"
"""What wandb raises where its own process, which it starts beside ours, has died or is not up in time."""


class Session:
    """Opens the run: online where that is asked for and the server lets us, else offline, with a warning.

    Raises what wandb raises where neither goes.
    """

    def __init__(self, settings: Wandb, run: RunInfo, name: str) -> None:
        self.finished = False
        self._settings, self._info, self._name = settings, run, name
        (run.folder / "wandb").mkdir(exist_ok=True)  # where it cannot be made, wandb would write elsewhere
        try:
            self._run = self._reached(settings.mode)
            offline = settings.mode == "offline"
        except Exception as error:
            if settings.mode == "offline":
                raise
            self._run, offline = self._reached("offline"), True
            self._warn_offline(error)
        # The server knows what it has; offline, the files below the run's folder are all that there is.
        self._next = last_step(run.folder / "wandb", run.train_id) + 1 if offline else int(self._run.step)

    def row(self, step: int, values: Mapping[str, Any], pictures: Sequence[Path]) -> None:
        """A complete row; left out where the run has it already."""
        if step < self._next:
            return
        from wandb import Image

        shown = {f"assignment/{path.stem}": Image(str(path)) for path in pictures}
        self._run.log({**values, **shown}, step=step, commit=True)
        self._next = step + 1

    def summary(self, values: Mapping[str, Any]) -> None:
        """Numbers that stand for the run as a whole."""
        self._run.summary.update(dict(values))

    def finish(self, done: bool, interrupted: bool) -> None:
        """Sends what is left, for timeout_s seconds at most (TimeoutError)."""
        self.finished = True
        if interrupted:
            self._run.mark_preempting()
        self._run.finish(exit_code=0 if done else 1)

    def _reached(self, mode: Any) -> Any:
        """Opens the run; once more with a new process of wandb's where that of an earlier run cannot be reached."""
        try:
            return self._open(mode)
        except Exception as error:
            if type(error).__name__ != _UNREACHED:  # wandb does not export it
                raise
            abandon()
            os.environ.pop("WANDB_SERVICE", None)  # where a process looks for one that its parent has started
            return self._open(mode)

    def _open(self, mode: Any) -> Any:
        import wandb

        own, run = self._settings, self._info
        wandb.setup(wandb.Settings(silent=True))  # or the login would speak, and ask on a terminal
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
        return wandb.init(
            id=run.train_id,
            name=self._name,
            project=own.project,
            entity=own.entity,
            group=own.group,
            tags=list(own.tags) or None,
            notes=own.notes,
            config=described(run),
            dir=str(run.folder),
            mode=mode,
            resume="allow",
            reinit="create_new",  # a run of the caller's own process is none of our business
            settings=settings,
        )

    def _warn_offline(self, error: Exception) -> None:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        command = sync_command(self._info.folder)
        self._info.warn(f"warning: wandb cannot go online ({reason}); it writes offline. {command}")


def abandon() -> None:
    """Ends wandb's own process, which no longer answers: the end of ours would wait for it, and the next run too."""
    with suppress(Exception):  # there is none, or not where this version of wandb keeps it
        from wandb.sdk import wandb_setup

        wandb_setup.singleton()._connection._proc._process.kill()  # type: ignore[union-attr]
    with suppress(Exception):
        import wandb

        wandb.teardown()


def sync_command(folder: Path) -> str:
    """What sends the files of an offline run."""
    return f"Send it later: wandb sync --include-online {folder / 'wandb'}"


def described(run: RunInfo) -> dict[str, Any]:
    """The configuration as wandb shows it: nested nodes become dotted columns; and what made the run."""
    head, clean = commit()
    return {
        **{key: value for key, value in run.config.items() if key != "tracking"},
        "choices": {re.sub(r"\W+", "_", group): choice for group, choice in run.choices.items()},
        "train_id": run.train_id,
        "commit": head,
        "clean": clean,
    }
