"""The cluster of these tests: the one that up.sh started, and no other."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cluster import MARK, Cluster


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """Refuses a SLURM that is not marked as ours, whatever SLURM_CONF leads to."""
    conf = Path(os.environ.get("SLURM_CONF", "/nowhere"))
    if not conf.is_file() or conf.read_text().splitlines()[0] != MARK:
        pytest.fail("SLURM_CONF does not lead to the cluster that tests/slurm/up.sh starts; say make test-slurm")
    said = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, timeout=30, check=True).stdout
    name = next(line.split("=")[1].strip() for line in said.splitlines() if line.startswith("ClusterName"))
    assert name == "paa-test"
    return Cluster(conf.parents[1])


@pytest.fixture(scope="module")
def place(tmp_path_factory, smoke_data, cluster) -> Path:
    """Where the commands of a module run: runs/.data holds the small data sets."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "runs").mkdir()
    (folder / "runs" / ".data").symlink_to(smoke_data)
    (folder / "steps").mkdir()
    return folder
