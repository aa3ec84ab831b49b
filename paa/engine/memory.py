"""Keep freed memory in the process: on a CPU, returning large tensors to the kernel costs a tenth of a training.

glibc maps fresh pages for a large request and unmaps them when it is freed, so that the kernel clears all activations
of each step anew. `analysis/benchmark.py` measures the steps with this setting.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make the C library reuse freed memory; no number changes. Return False where it is not glibc.

    A process then holds the most memory that it ever used, and some more where sizes vary.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
