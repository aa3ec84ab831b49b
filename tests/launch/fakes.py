"""Commands of SLURM that print what a test has them print, and sweeps that were never submitted."""

from __future__ import annotations

import os
import pickle
import stat
from pathlib import Path

import pytest

from paa.launch.ledger import Entry, Sweep

COMMANDS = ("squeue", "sacct", "scancel", "scontrol", "sbatch", "srun")


class FakeSlurm:
    """Each command prints the file NAME.out below `folder` and ends with what NAME.rc holds; calls go to NAME.calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COMMANDS:
            path = folder / name
            path.write_text(
                f'#!/bin/sh\necho "$@" >> {folder}/{name}.calls\n'
                f"[ ! -f {folder}/{name}.err ] || cat {folder}/{name}.err >&2\n"
                f"[ ! -f {folder}/{name}.out ] || cat {folder}/{name}.out\n"
                f"exit $(cat {folder}/{name}.rc 2>/dev/null || echo 0)\n"
            )
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def says(self, name: str, text: str = "", code: int = 0, error: str = "") -> None:
        (self.folder / f"{name}.out").write_text(text)
        (self.folder / f"{name}.rc").write_text(str(code))
        (self.folder / f"{name}.err").write_text(error)

    def queue(self, *jobs: tuple[str, str]) -> None:
        """squeue lists these (id, state), on node n1, since two o'clock, requeued once."""
        lines = [f"{name}|{state}|Priority|n1|2026-11-25T02:00:00|1|x|\n" for name, state in jobs]
        self.says("squeue", "".join(lines))

    def calls(self, name: str) -> list[str]:
        path = self.folder / f"{name}.calls"
        return path.read_text().splitlines() if path.exists() else []


def sweep(folder: Path, count: int = 3, **settings: object) -> Sweep:
    """A noted sweep over seeds."""
    entries = tuple(Entry(n, f"t{n:010d}", (f"e{n:010d}",), ("table1=paa", f"seed={n}")) for n in range(count))
    made = Sweep(folder, "python -m paa.train", "slurm", settings, str(folder), entries)
    made.write({"config": {"device": "cpu", "workers": 0, "seed": n}, "choices": {}} for n in range(count))
    return made


def finish(runs_dir: Path, made: Sweep, number: int) -> None:
    """Leaves what a finished run leaves, as far as its being finished goes."""
    entry = made.entries[number]
    folder = runs_dir / entry.train_id
    (folder / "evals").mkdir(parents=True)
    (folder / "record.json").write_text("{}")
    (folder / "evals" / f"{entry.evals[0]}.json").write_text("{}")


def result(made: Sweep, name: str, outcome: str, value: object) -> None:
    """What submitit leaves of a job that has ended."""
    made.logs.mkdir(parents=True, exist_ok=True)
    (made.logs / f"{name}_0_result.pkl").write_bytes(pickle.dumps((outcome, value)))


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> FakeSlurm:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return FakeSlurm(folder)
