"""What was submitted: files in a sweep's folder, from which any later process can watch, cancel and resubmit it.

    submitted.json  the sweep: command, launcher, its settings, the folder that its jobs run in, an entry for each job
    jobs.jsonl      what each job runs, resolved: a job never reads conf/ again
    ids.jsonl       the arrays of SLURM that they became; each submission appends to it

Each array is noted in ids.jsonl before it is submitted, under its name in the queue, and again with its number. If the
submitting process is killed between the two, the jobs are found by that name.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from paa import files
from paa.store import keys
from paa.store.errors import BadRecord
from paa.store.frame import UnreadableRecord
from paa.store.paths import RunPaths

SWEEPS = ".sweeps"
"""Folder of the sweeps below that of the runs."""

_FILE, _JOBS, _IDS = "submitted.json", "jobs.jsonl", "ids.jsonl"
_FOLDERS = ("runs_dir", "data.root")
_FILES = ("backbone.weights", "finetune.from")  # or a word, or a run ID


@dataclass(frozen=True)
class Entry:
    """A job of a sweep.

    number     its place in the sweep, from 0.
    train_id   run ID of its training; evals, IDs of the evaluations that it asks for.
    overrides  its own, as on the command line.
    """

    number: int
    train_id: str
    evals: tuple[str, ...]
    overrides: tuple[str, ...]

    @property
    def identity(self) -> tuple[str, tuple[str, ...]]:
        """What it asks for: equal for jobs that are the same run."""
        return self.train_id, self.evals

    def done(self, runs_dir: Path) -> bool:
        """Return whether the training and every evaluation have their records."""
        paths = RunPaths(runs_dir, self.train_id)
        return paths.finished and all(paths.evaluation(one).exists() for one in self.evals)


@dataclass(frozen=True)
class Array:
    """Jobs that were submitted together.

    name   of the array in SLURM's queue.
    parts  for each of its jobs the numbers of its entries: several where they share one training.
    job    SLURM's number of the array; None where the submitting process was killed before it noted it.
    """

    name: str
    parts: tuple[tuple[int, ...], ...]
    job: str | None = None

    def ids(self) -> dict[int, str]:
        """Return {entry: SLURM's id of its job, 123 or 123_4}; nothing where the number is unknown."""
        if self.job is None:
            return {}
        single = len(self.parts) == 1
        return {n: self.job if single else f"{self.job}_{i}" for i, part in enumerate(self.parts) for n in part}


@dataclass(frozen=True)
class Sweep:
    """A submitted sweep, in its folder.

    launcher   "slurm" or "local"; settings, its keys.
    directory  where its jobs run: the current folder of the command, or a snapshot of it.
    """

    folder: Path
    command: str
    launcher: str
    settings: dict[str, Any]
    directory: str
    entries: tuple[Entry, ...]
    created: float = field(default_factory=time.time)

    @property
    def name(self) -> str:
        """The folder's name, by which commands address it."""
        return self.folder.name

    @property
    def logs(self) -> Path:
        """Folder of what the jobs print, and of submitit's files."""
        return self.folder / self.launcher

    def write(self, contents: Iterable[dict[str, Any]]) -> None:
        """Write the sweep; `contents` are what each of its jobs runs, in the order of the entries."""
        lines = (json.dumps(content, separators=(",", ":")) + "\n" for content in contents)
        files.write_text(self.folder / _JOBS, "".join(lines))
        files.write_json(self.folder / _FILE, {k: v for k, v in asdict(self).items() if k != "folder"})

    @classmethod
    def read(cls, folder: Path) -> Sweep:
        """Read what `write` wrote. FileNotFoundError where nothing was submitted; BadRecord names the file."""
        path = folder / _FILE
        try:
            value = files.read_json(path)
            entries = tuple(
                Entry(e["number"], e["train_id"], tuple(e["evals"]), tuple(e["overrides"])) for e in value["entries"]
            )
            return cls(**{**value, "folder": folder, "entries": entries})
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadRecord(f"{path}: not a record of submitted jobs ({type(error).__name__}: {error})") from error

    def contents(self, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return what these jobs run: {number: `content`}."""
        wanted = set(numbers)
        with (self.folder / _JOBS).open(encoding="utf-8") as lines:
            return {number: json.loads(line) for number, line in enumerate(lines) if number in wanted}

    def plan(self, parts: Sequence[Sequence[int]]) -> Array:
        """Note jobs that are about to be submitted; the result has the name that they must get."""
        array = Array(f"paa-{self.name}-{len(self.arrays())}", tuple(tuple(part) for part in parts))
        self._append({"name": array.name, "parts": array.parts})
        return array

    def submitted(self, array: Array, job: str) -> Array:
        """Note SLURM's number of an array."""
        self._append({"name": array.name, "job": job})
        return replace(array, job=job)

    def arrays(self) -> list[Array]:
        """Return everything that was submitted, in order."""
        found: dict[str, Array] = {}
        for line in files.read_json_lines(self.folder / _IDS):
            name = str(line.get("name"))
            if "parts" in line:
                found[name] = Array(name, tuple(tuple(part) for part in line["parts"]))
            elif name in found:
                found[name] = replace(found[name], job=line["job"])
        return list(found.values())

    def ids(self) -> dict[int, str]:
        """Return {entry: SLURM's id of the job that was submitted last for it}."""
        return {number: name for array in self.arrays() for number, name in array.ids().items()}

    def _append(self, line: dict[str, Any]) -> None:
        with (self.folder / _IDS).open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(line) + "\n")  # a kill may have left half a line before it
            file.flush()
            os.fsync(file.fileno())


def sweeps(runs_dir: Path) -> list[Sweep]:
    """Return the sweeps below `runs_dir`, oldest first. UnreadableRecord warns of one that cannot be read."""
    found = []
    for path in (runs_dir / SWEEPS).glob(f"*/{_FILE}"):
        try:
            found.append(Sweep.read(path.parent.absolute()))
        except FileNotFoundError:  # removed since the listing
            continue
        except BadRecord as error:
            warnings.warn(f"{error}; skipped", UnreadableRecord, stacklevel=2)
    return sorted(found, key=lambda sweep: (sweep.created, sweep.name))


def new_folder(runs_dir: Path, name: str) -> Path:
    """Return the folder of a new sweep: `name`, or name-2, ... where it exists.

    Hydra may launch the jobs of one command line in several batches, all under one name.
    """
    number, folder = 1, runs_dir.absolute() / SWEEPS / name
    while (folder / _FILE).exists():
        number += 1
        folder = folder.with_name(f"{name}-{number}")
    return folder


def content(
    config: Mapping[str, Any], overrides: Sequence[str], choices: Mapping[str, str], train_id: str
) -> dict[str, Any]:
    """Return what a job runs, in plain types that mean the same in any folder."""
    return {
        "config": absolute(config),
        "overrides": list(overrides),
        "choices": dict(choices),
        "train_id": train_id,
    }


def absolute(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return `config` with absolute paths; a name that is not an existing file stays as it is."""
    found = dict(config)
    for key in (*_FOLDERS, *_FILES):
        value = keys.get(found, key)
        if isinstance(value, str) and (key in _FOLDERS or Path(value).expanduser().exists()):
            found = keys.put(found, key, str(Path(value).expanduser().absolute()))
    return found
