"""Every file of a run, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paa.store.errors import RunNotFound

CONVERTED = "x"
"""First letter of the ID of a run whose weights were imported from another project, and not trained here."""


class _File:
    """A path below the folder of a run."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, run: RunPaths, _: type[RunPaths]) -> Path:
        return run.folder / self._name


@dataclass(frozen=True, order=True)
class RunPaths:
    """The files of the run `train_id` below `runs_dir`. Asking for a path creates nothing."""

    runs_dir: Path
    train_id: str

    @property
    def folder(self) -> Path:
        """All of the run."""
        return self.runs_dir / self.train_id

    config = _File("config.yaml")
    """The resolved configuration, YAML."""
    lock = _File("lock")
    """Folder of the lock."""
    checkpoints = _File("checkpoints")
    """Folder of the checkpoints of an unfinished training."""
    weights = _File("weights.pt")
    """The final weights; they may be removed, the run stays finished."""
    metrics = _File("metrics.jsonl")
    """One JSON object a line, in the order of the steps."""
    images = _File("images")
    """Folder of the pictures of the assignment, by step."""
    log = _File("log")
    """Log of the training."""
    progress = _File("progress.json")
    """Step and remaining seconds of a training that runs, JSON: see `paa.engine.progress`."""
    failure = _File("failure.json")
    """Why the last attempt failed, JSON; absent if it finished, was interrupted, or is running."""
    record = _File("record.json")
    """The training's record: where it exists, the training is finished."""
    evals = _File("evals")
    """Folder of the evaluations."""

    def evaluation(self, eval_id: str) -> Path:
        """The record of an evaluation: where it exists, the evaluation is finished."""
        return self.evals / f"{eval_id}.json"

    def matches(self, eval_id: str) -> Path:
        """Matches of the detections of an evaluation, for statistics."""
        return self.evals / f"{eval_id}.npz"

    def upload(self, eval_id: str) -> Path:
        """Folder of the file for an evaluation server, for a split without annotations."""
        return self.evals / f"{eval_id}.upload"

    @property
    def finished(self) -> bool:
        """Whether the training has ended, with or without its weights still there."""
        return self.record.exists()

    @property
    def converted(self) -> bool:
        """Whether its weights were imported from another project, by its ID."""
        return self.train_id.startswith(CONVERTED)


def runs(runs_dir: Path) -> list[RunPaths]:
    """Return all runs below `runs_dir` in any state, sorted by ID; [] if there is no such folder."""
    if not runs_dir.is_dir():
        return []
    folders = (path for path in runs_dir.iterdir() if not path.name.startswith(".") and path.is_dir())
    return sorted(RunPaths(runs_dir, path.name) for path in folders)


def find(runs_dir: Path, prefix: str) -> RunPaths:
    """Return the run with this ID or unique prefix of it; RunNotFound."""
    known = runs(runs_dir)
    matching = [run for run in known if prefix and run.train_id.startswith(prefix)]
    exact = [run for run in matching if run.train_id == prefix]
    if len(exact or matching) == 1:
        return (exact or matching)[0]
    if matching:
        names = ", ".join(run.train_id for run in matching[:5]) + (", ..." if len(matching) > 5 else "")
        raise RunNotFound(
            f"run={prefix}: ambiguous run ID prefix ({len(matching)} matches: {names}); give more characters"
        )
    if not known:
        raise RunNotFound(f"run={prefix}: no runs in {runs_dir}; start one with python -m paa.train")
    raise RunNotFound(f"run={prefix}: no run in {runs_dir} has this ID prefix; python -m paa.runs lists them")
