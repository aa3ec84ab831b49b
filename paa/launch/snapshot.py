"""A snapshot of the tracked files as they are, for jobs that start when the checkout has long changed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from submitit.helpers import RsyncSnapshot

from paa.checks import OutOfRange

KEY = "hydra.launcher.snapshot"


@contextmanager
def snapshot(folder: Path) -> Iterator[Path]:
    """While entered, the current folder is its own copy below `folder`, a clone of the repository with all changes to
    tracked files in it: so what runs there still knows its commit. OutOfRange where there can be none.
    """
    here = Path.cwd()
    try:
        top = Path(_git("rev-parse", "--show-toplevel"))
        gone = _git("ls-files", "--deleted")
        if gone:
            raise OutOfRange(
                KEY, f"=true: {gone.splitlines()[0]} is tracked and is not there; git rm it, or restore it"
            )
        with RsyncSnapshot(folder, root_dir=top):
            inner = folder / here.resolve().relative_to(top.resolve())
            if not inner.is_dir():
                raise OutOfRange(KEY, f"=true: {here} holds no tracked file; start from a folder of the repository")
            yield inner
    except FileNotFoundError as error:
        raise OutOfRange(KEY, f"=true: needs {error.filename} on the PATH") from error
    except (RuntimeError, subprocess.SubprocessError) as error:
        reason = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
        raise OutOfRange(KEY, f"=true: the current folder cannot be copied ({reason}); needs a git checkout") from error


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()
