"""The cluster of these tests: the one that up.sh started, and no other."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import LONG, MARK, ORPHAN, SLOW, Cluster, ids_by_seed, run, runs_by_seed, start, step, sweep_of, until


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
    return _place(tmp_path_factory, smoke_data)


@pytest.fixture(scope="session")
def limited(tmp_path_factory, smoke_data, cluster) -> tuple[Path, subprocess.Popen[str]]:
    """A place, and the process there that submits a run which meets its time limit: SLURM's signal comes within 45 s of
    its start, and it takes 50 s at least. The first module starts it, a later one looks at it: it mostly waits.
    """
    folder = _place(tmp_path_factory, smoke_data)
    keys = [word for word in SLOW if not word.startswith("schedule.")]
    launch = ["hydra/launcher=slurm", "hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=15"]
    words = ["paa.train", *keys, f"schedule.steps={LONG}", "-m", "seed=11", *launch, "hydra.launcher.wait=false"]
    return folder, start(folder, *words)


@pytest.fixture(scope="session")
def orphaned(tmp_path_factory, smoke_data, cluster) -> Iterator[Path]:
    """A place where a training goes on after the slurmd of its node was killed: SLURM gives the node up after 20 s, and
    starts a copy on the other. One module starts it, a later one looks at it: it mostly waits.
    """
    folder = _place(tmp_path_factory, smoke_data)
    keys = [word for word in SLOW if not word.startswith("schedule.")]
    words = ["paa.train", *keys, f"schedule.steps={ORPHAN}", "-m", "seed=8", "hydra/launcher=slurm"]
    assert run(folder, *words, "hydra.launcher.wait=false").returncode == 0
    sweep = sweep_of(folder)
    until(lambda: step(runs_by_seed(sweep, folder)["8"]) >= 3, "step 3")
    node = cluster.slurm("squeue", "-h", "-j", ids_by_seed(sweep)["8"], "-o", "%N").strip()
    os.kill(cluster.daemon(f"slurmd.{node}"), signal.SIGKILL)
    try:
        yield folder
    finally:
        cluster.start_slurmd(node)
        back = ("idle", "mixed", "allocated")
        until(lambda: cluster.slurm("sinfo", "-h", "-p", "debug", "-n", node, "-o", "%T").strip() in back, node, 60)


def _place(tmp_path_factory, smoke_data) -> Path:
    folder = tmp_path_factory.mktemp("place")
    (folder / "runs").mkdir()
    (folder / "runs" / ".data").symlink_to(smoke_data)
    (folder / "steps").mkdir()
    return folder
