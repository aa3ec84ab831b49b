"""A process ends when it wants to, whoever still holds its loader."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
from pathlib import Path
from running import configuration, smoke_sources
from paa.experiment.parts import assemble
from paa.datasets.loader import test_batches
from paa.datasets.formats.sources import Shapes

index = smoke_sources(Path(sys.argv[1]))[0].index("train")
transform = assemble(configuration()).test_transform(None)
held = test_batches(index, transform, 1, workers=2)
next(held)
if sys.argv[2] == "error":
    raise RuntimeError("out of paper")
"""


@pytest.mark.parametrize("how", ["well", "error"])
def test_workers_that_are_deaf_to_signals_do_not_hold_up_the_end(smoke_data, how):
    """Python asks child processes by SIGTERM to end, which the workers ignore, and waits for them."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SCRIPT, str(smoke_data), how]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (1 if how == "error" else 0), done.stderr
    assert ("out of paper" in done.stderr) == (how == "error")
