"""What was submitted: files in a sweep's folder, from which any later process can watch, cancel and resubmit it.

    submitted.json   the sweep: command, launcher, its settings, the folder that its jobs run in, an entry for each job
    jobs.jsonl       the resolved configuration of each job, and the choices in it: a job never reads conf/ again
    paa-SWEEP-N.json  an array of SLURM that jobs became; each submission adds some

Each array is noted before it is submitted, under its name in the queue, and again with its number. If the submitting
process is killed between the two, the jobs are found by that name.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from paa import files
from paa.launch import queue
from paa.store import keys
from paa.store.errors import BadRecord
from paa.store.frame import UnreadableRecord
from paa.store.paths import RunPaths

SWEEPS = ".sweeps"
"""Folder of the sweeps below that of the runs."""

_FILE, _JOBS = "submitted.json", "jobs.jsonl"
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
    parts: Sequence[Sequence[int]]
    job: str | None = None


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
        """Write the sweep; `contents` has {"config": ..., "choices": ...} of each job, in the order of the entries."""
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
        """Return what these jobs run, as it was written, by number."""
        wanted = set(numbers)
        with (self.folder / _JOBS).open(encoding="utf-8") as lines:
            return {number: json.loads(line) for number, line in enumerate(lines) if number in wanted}

    def plan(self, parts: Sequence[Sequence[int]]) -> Array:
        """Note jobs that are about to be submitted; the result has the name that they must get."""
        return self._note(Array(self._array(len(self.arrays())), parts))

    def submitted(self, array: Array, job: str) -> Array:
        """Note SLURM's number of an array."""
        return self._note(replace(array, job=job))

    def arrays(self) -> list[Array]:
        """Return everything that was submitted, in order."""
        paths = takewhile(Path.exists, (self.folder / f"{self._array(number)}.json" for number in count()))
        return [Array(**files.read_json(path)) for path in paths]

    def ids(self) -> dict[int, str]:
        """Return {entry: SLURM's id of the job that was submitted last for it, 123 or 123_4}.

        NoAnswer of SLURM, which is asked for the number of an array where nobody noted it.
        """
        found: dict[int, str] = {}
        arrays = self.arrays()
        lost = queue.array_ids([array.name for array in arrays if array.job is None])
        for array in arrays:
            job = array.job or lost.get(array.name)
            if job is not None:
                names = [job] if len(array.parts) == 1 else [f"{job}_{place}" for place in range(len(array.parts))]
                found |= {number: name for name, part in zip(names, array.parts, strict=True) for number in part}
        return found

    def _array(self, number: int) -> str:
        return f"paa-{self.name}-{number}"

    def _note(self, array: Array) -> Array:
        files.write_json(self.folder / f"{array.name}.json", asdict(array))
        return array


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
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    folders = (runs_dir.absolute() / SWEEPS / one for one in names)
    return next(folder for folder in folders if not (folder / _FILE).exists())


def absolute(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return `config` with absolute paths; a name that is not an existing file stays as it is."""
    found = dict(config)
    for key in (*_FOLDERS, *_FILES):
        value = keys.get(found, key)
        if isinstance(value, str) and (key in _FOLDERS or Path(value).expanduser().exists()):
            found = keys.put(found, key, str(Path(value).expanduser().absolute()))
    return found
