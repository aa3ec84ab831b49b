"""Freed memory stays with the process: on a CPU, giving large tensors back to the kernel costs a tenth of a training.

glibc serves a large request by mapping fresh pages and unmaps them when it is freed, so that each step touches, and the
kernel clears, all of its activations anew. Told to keep what was freed, it hands out the same pages again.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Has the C library keep what is freed and reuse it; no number changes. False where it is not glibc.

    A process then holds the most memory that it ever used at once, and some more where sizes vary.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
