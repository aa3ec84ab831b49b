"""A copy of the code as it is at submission, for jobs that start after the checkout has changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from paa.checks import OutOfRange


def snapshot(folder: Path) -> Path:
    """Clone the repository of the current folder to `folder`, with the uncommitted changes to tracked files.

    Returns the copy of the current folder; what runs there still knows its commit. OutOfRange where it is impossible.
    """
    try:
        top = Path(_git("rev-parse", "--show-toplevel").decode().strip())
        _git("clone", "--quiet", str(top), str(folder))
        changes = _git("-C", str(top), "diff", "--binary", "HEAD")
        if changes:
            _git("-C", str(folder), "apply", "--whitespace=nowarn", stdin=changes)
    except FileNotFoundError as error:
        raise OutOfRange("hydra.launcher.snapshot", "=true: git is not installed; use false") from error
    except subprocess.SubprocessError as error:
        reason = (
            (getattr(error, "stderr", None) or str(error).encode()).decode(errors="replace").strip().splitlines()[-1]
        )
        problem = f"=true: the current folder cannot be cloned ({reason}); needs a git checkout with a commit"
        raise OutOfRange("hydra.launcher.snapshot", problem) from error
    inner = folder / Path.cwd().resolve().relative_to(top.resolve())
    if not inner.is_dir():
        raise OutOfRange("hydra.launcher.snapshot", f"=true: {Path.cwd()} has no tracked file; start in the repository")
    return inner


def _git(*arguments: str, stdin: bytes | None = None) -> bytes:
    return subprocess.run(["git", *arguments], input=stdin, capture_output=True, check=True, timeout=300).stdout
