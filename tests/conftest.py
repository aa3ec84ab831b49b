"""Fixtures of all tests. Every test computes on one thread: tests run in parallel, and numbers must not differ."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, and for every process that a test starts

from pathlib import Path

import pytest
import torch
from running import smoke_sources

pytest_plugins = ["differences"]

torch.set_num_threads(1)

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of golden arrays and real data beside the checkout; skip the test if there is none."""
    folder = REPO.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: golden arrays and real data are not here")
    return folder


@pytest.fixture(scope="session")
def smoke_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the small embedded data sets, generated once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "smoke_data"
    for source in smoke_sources(root):
        source.prepare(quiet=True)
    return root


@pytest.fixture
def runs_dir(tmp_path: Path, smoke_data: Path) -> Path:
    """Return an empty folder of runs, `tmp_path/runs`, with the small data sets."""
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / ".data").symlink_to(smoke_data)
    return folder


@pytest.fixture
def here(tmp_path: Path, runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which commands run, empty except for runs/.data."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
