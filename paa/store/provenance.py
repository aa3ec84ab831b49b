"""What made a record: the code, the libraries and the machine."""

from __future__ import annotations

import functools
import os
import platform
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = ("paa", "torch", "torchvision", "numpy", "pillow", "pycocotools", "hydra-core", "omegaconf")
"""Distributions whose versions a record holds."""


def origin() -> dict[str, Any]:
    """commit and clean (see `commit`), versions (of python and LIBRARIES; None where missing), hardware, host."""
    head, clean = commit()
    return {
        "commit": head,
        "clean": clean,
        "versions": versions(),
        "hardware": hardware(),
        "host": socket.gethostname(),
    }


@functools.cache
def commit() -> tuple[str | None, bool | None]:
    """The commit that this package's code stands at, and whether nothing differs from it (new files count).

    (None, None) where that is not known: no git, no commit yet, or an installed package, even one that lies within the
    work tree of another project. Asked once in a process: that is the code that the process runs.
    """
    package = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")
        head = git("rev-parse", "--verify", "HEAD")
        top = git("rev-parse", "--show-toplevel")
        return head, git("-C", top, "status", "--porcelain") == ""
    except (OSError, subprocess.SubprocessError):
        return None, None


def versions() -> dict[str, str | None]:
    """Versions of python and of LIBRARIES, without importing them."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def hardware() -> dict[str, Any]:
    """cpu (model), cores (that this process may use), memory_gb, gpu (name, or None where torch sees or has none)."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = None
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    return {"cpu": _cpu(), "cores": usable, "memory_gb": memory, "gpu": _gpu()}


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpu() -> str | None:
    torch = sys.modules.get("torch")  # not imported for this: who has not imported it has not used a GPU
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name())
