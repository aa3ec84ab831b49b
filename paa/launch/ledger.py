"""What was submitted: files in a sweep's folder, by which any later process can tell of it, cancel it, submit it again.

    submitted.json  the sweep: command, launcher settings, the folder its jobs run in, and a line for each of its jobs
    jobs.jsonl      what each job runs, resolved: a job never reads conf/ again
    ids.jsonl       which jobs of SLURM they became; it grows with each submission

Each array is noted in ids.jsonl before it is submitted, under the name that it will have in the queue, and again with
its number. A driver that is killed between the two leaves jobs that are found by their name.
"""

from __future__ import annotations

import errno
import json
import os
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from paa import files
from paa.store.errors import BadRecord
from paa.store.frame import UnreadableRecord
from paa.store.paths import RunPaths

SWEEPS = ".sweeps"
"""Folder of the sweeps below that of the runs."""

_FILE, _JOBS, _IDS = "submitted.json", "jobs.jsonl", "ids.jsonl"


@dataclass(frozen=True)
class Entry:
    """A job of a sweep.

    number     its place in the sweep.
    train_id   of the training; evals, identities of the evaluations that it asks for.
    overrides  what the command line said of it.
    """

    number: int
    train_id: str
    evals: tuple[str, ...]
    overrides: tuple[str, ...]

    def done(self, runs_dir: Path) -> bool:
        """Whether the training and every evaluation have their records."""
        paths = RunPaths(runs_dir, self.train_id)
        return paths.finished and all(paths.evaluation(one).exists() for one in self.evals)


@dataclass(frozen=True)
class Array:
    """Jobs that went to SLURM together, under one name.

    parts  the numbers of the entries of each job: several where they are one training's.
    job    SLURM's number; None where nobody has noted it.
    logs   folder of its logs, where it is not this sweep's.
    """

    name: str
    parts: tuple[tuple[int, ...], ...]
    at: float
    job: str | None = None
    logs: str | None = None

    def ids(self) -> dict[int, str]:
        """{entry: SLURM's id of its job, 123 or 123_4}; none where the number is not known."""
        if self.job is None:
            return {}
        alone = len(self.parts) == 1
        return {n: self.job if alone else f"{self.job}_{i}" for i, part in enumerate(self.parts) for n in part}


@dataclass(frozen=True)
class Sweep:
    """A sweep that was submitted, in its folder.

    directory  where its jobs run: the current folder of then, or a snapshot of it.
    settings   the launcher's.
    """

    folder: Path
    command: str
    directory: str
    settings: dict[str, Any]
    entries: tuple[Entry, ...]
    created: float = field(default_factory=time.time)

    @property
    def name(self) -> str:
        """The folder's name, by which a person calls it."""
        return self.folder.name

    @property
    def logs(self) -> Path:
        """Folder of what the jobs print, and of submitit's files."""
        return self.folder / "slurm"

    @property
    def local(self) -> bool:
        """Whether its jobs are processes of a machine, of which SLURM knows nothing."""
        return "timeout_min" not in self.settings

    def write(self, contents: Iterable[dict[str, Any]]) -> None:
        """Writes the sweep; `contents` are what each of its jobs runs, in the order of the entries."""
        lines = (json.dumps(content, separators=(",", ":")) + "\n" for content in contents)
        files.write_text(self.folder / _JOBS, "".join(lines))
        plain = {key: value for key, value in asdict(self).items() if key != "folder"}
        files.write_json(self.folder / _FILE, plain)

    @classmethod
    def read(cls, folder: Path) -> Sweep:
        """Reads what `write` wrote. FileNotFoundError where nothing was submitted; BadRecord naming the file."""
        path = folder / _FILE
        try:
            value = files.read_json(path)
            entries = tuple(
                Entry(e["number"], e["train_id"], tuple(e["evals"]), tuple(e["overrides"])) for e in value["entries"]
            )
            return cls(folder, value["command"], value["directory"], value["settings"], entries, value["created"])
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadRecord(f"{path}: does not say what was submitted ({type(error).__name__}: {error})") from error

    def contents(self, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
        """What these jobs run: {number: {config, overrides, choices, train_id}}."""
        wanted = set(numbers)
        with (self.folder / _JOBS).open(encoding="utf-8") as lines:
            return {number: json.loads(line) for number, line in enumerate(lines) if number in wanted}

    def plan(self, parts: Sequence[Sequence[int]]) -> Array:
        """Notes jobs that are about to be submitted, with the name that they get."""
        array = Array(f"paa-{self.name}-{len(self.arrays())}", tuple(tuple(part) for part in parts), time.time())
        self._append({"name": array.name, "parts": array.parts, "at": array.at})
        return array

    def submitted(self, array: Array, job: str) -> None:
        """Notes SLURM's number of an array."""
        self._append({"name": array.name, "job": job})

    def adopt(self, number: int, job: str, logs: Path) -> None:
        """Notes that an entry's run is in the queue already, as a job (123_4) of another sweep with its logs there."""
        name = f"adopted {number} {job}"
        self._append({"name": name, "parts": [[number]], "at": time.time(), "logs": str(logs)})
        self._append({"name": name, "job": job})

    def arrays(self) -> list[Array]:
        """Everything that was submitted, in its order."""
        found: dict[str, Array] = {}
        for line in _lines(self.folder / _IDS):
            name = str(line.get("name"))
            if "parts" in line:
                parts = tuple(tuple(part) for part in line["parts"])
                found[name] = Array(name, parts, line["at"], logs=line.get("logs"))
            elif name in found:
                found[name] = replace(found[name], job=line["job"])
        return list(found.values())

    def ids(self, arrays: Sequence[Array] | None = None) -> dict[int, str]:
        """{entry: SLURM's id of the job that was submitted last for it}."""
        latest: dict[int, str] = {}
        for array in self.arrays() if arrays is None else arrays:
            latest |= array.ids()
        return latest

    def _append(self, line: dict[str, Any]) -> None:
        # It begins a line of its own: one before it may have been torn, by a kill or a full disk.
        data = ("\n" + json.dumps(line, separators=(",", ":")) + "\n").encode()
        handle = os.open(self.folder / _IDS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            if os.write(handle, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder / _IDS))
            os.fsync(handle)
        finally:
            os.close(handle)


def sweeps(runs_dir: Path) -> list[Sweep]:
    """Every sweep below `runs_dir` that was submitted, oldest first. One that cannot be read is left out, and named in
    an UnreadableRecord warning.
    """
    found = []
    for path in (runs_dir / SWEEPS).glob(f"*/{_FILE}"):
        try:
            found.append(Sweep.read(path.parent.absolute()))
        except FileNotFoundError:  # removed since the listing
            continue
        except BadRecord as error:
            warnings.warn(f"{error}; left out", UnreadableRecord, stacklevel=2)
    return sorted(found, key=lambda sweep: (sweep.created, sweep.name))


def unused(folder: Path) -> Path:
    """`folder`, or where a sweep was submitted from it before, one beside it: Hydra may hand out the jobs of a command
    line in several batches, all with one folder, and what was noted of the first must stay.
    """
    number, free = 1, folder
    while (free / _FILE).exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file; one that a kill tore in two is left out."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found
