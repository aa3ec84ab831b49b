"""Freed memory is used again, in a process of its own: the setting holds for a whole process."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from paa.engine.memory import keep_freed_memory
torch.set_num_threads(1)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(1 << 24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh = faults()
assert keep_freed_memory()
print(fresh, min(faults() for _ in range(5)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc, which the setting is for")
def test_memory_that_was_freed_is_not_mapped_anew():
    said = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    fresh, kept = map(int, said.split())
    assert fresh > 100  # 5 x 64 MiB, in pages of 4 kB or 2 MB
    assert kept < fresh / 10
