"""What must answer quickly does not import torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMANDS = (
    ["paa.runs", "status", "table1", "recipe=smoke"],
    ["paa.runs", "status", "table3", "recipe=coco_1x", "data.root=."],
    ["paa.runs"],
    ["paa.train", "--help"],
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_torch_is_not_imported(words, tmp_path):
    program = (
        "import runpy, sys\n"
        f"sys.argv = {words!r}\n"
        "try:\n    runpy.run_module(sys.argv[0], run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
