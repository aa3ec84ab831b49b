"""Provenance of a run: the code, the libraries and the machine, read when the training starts."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = ("paa", "torch", "torchvision", "numpy", "pillow", "pycocotools", "hydra-core", "omegaconf")
"""Distributions whose versions a record holds."""


def origin() -> dict[str, Any]:
    """Return the provenance of what this process runs, in plain types.

    commit, clean  see `commit`. source_sha256, digest of the package's source files.
    versions       of python and LIBRARIES; None if not installed. hardware, host: see `hardware`.
    resumed        the same of each later attempt that ran other code or versions than the one before it.
    """
    head, clean = commit()
    return {
        "commit": head,
        "clean": clean,
        "source_sha256": source_digest(),
        "versions": versions(),
        "hardware": hardware(),
        "host": socket.gethostname(),
        "resumed": [],
    }


def resumed(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the provenance of a training that began as `before` and resumes as `now`, and what differs, in words.

    "" if code and versions are those of the last attempt.
    """
    last = (before["resumed"] or [before])[-1]
    differing = []
    if last["source_sha256"] != now["source_sha256"]:
        differing.append(f"source of paa (commit {_short(last)}, now {_short(now)})")
    for name, version in now["versions"].items():
        if last["versions"].get(name) != version:
            differing.append(f"{name} {last['versions'].get(name)}, now {version}")
    if not differing:
        return dict(before), ""
    later = {name: value for name, value in now.items() if name != "resumed"}
    return {**before, "resumed": [*before["resumed"], later]}, f"resumes with different code: {'; '.join(differing)}"


def _short(origin: Mapping[str, Any]) -> str:
    return f"{(origin['commit'] or 'unknown')[:9]}{'' if origin['clean'] in (True, None) else ' with changes'}"


@functools.cache
def source_digest() -> str:
    """Return the SHA-256 of the names and bytes of the package's source files. Read once in a process."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


@functools.cache
def commit() -> tuple[str | None, bool | None]:
    """Return the commit of the package's code, and whether nothing differs from it (new files count).

    (None, None) if unknown: no git, no commit yet, or an installed package, even within the work tree of another
    project. Read once in a process: that is the code that the process runs.
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
    """Return the versions of python and of LIBRARIES, without importing them."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def hardware() -> dict[str, Any]:
    """Return cpu (model), cores (that this process may use), memory_gb, gpu (name, or None if torch sees none)."""
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
