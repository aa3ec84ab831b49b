"""User code, outside the package: where it is found, and how its errors are shown."""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import paa
from paa.config.errors import ConfigError
from paa.store.code_digest import INSTALLED

_PACKAGE = Path(paa.__file__).resolve().parent
_STANDARD = Path(sysconfig.get_path("stdlib")).resolve()


class OwnCodeError(ConfigError):
    """An error inside user code. `trace` is its traceback from the first line of that code on."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace

    @classmethod
    def of(cls, error: BaseException, what: str) -> OwnCodeError | None:
        """Return `what`, the error and the line of user code that it comes from; None if no such line takes part."""
        first, place = _own_part(error)
        if place is None:
            return None
        trace = "".join(traceback.format_exception(type(error), error, first, chain=False))
        return cls(
            f"{what}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''} ({place})", trace
        )


def add_cwd_to_path() -> None:
    """Has Python find modules in the current folder, as `python -m` does and a console script does not."""
    here = os.getcwd()
    if not {"", here} & set(sys.path) and not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, here)


def place_of(target: Any) -> str:
    """Return " (my/gap.py, line 7)" for a class or function of user code, "" for any other."""
    try:
        file = inspect.getsourcefile(target)
        return f" ({_place(file, inspect.getsourcelines(target)[1])})" if file and is_own(file) else ""
    except (TypeError, OSError):
        return ""


def is_own(file: str) -> bool:
    """Whether a source file belongs neither to the package nor to what is installed beside it."""
    path = Path(file).resolve()
    installed = INSTALLED & set(path.parts) or path.is_relative_to(_STANDARD) or path.is_relative_to(_PACKAGE)
    return path.suffix == ".py" and not installed


def _own_part(error: BaseException) -> tuple[TracebackType | None, str | None]:
    """Return the traceback from the first frame of user code on, and the place of the last such frame."""
    first, place, step = None, None, error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if is_own(file):
            first, place = first or step, _place(file, step.tb_lineno)
        step = step.tb_next
    if isinstance(error, SyntaxError) and error.filename and is_own(error.filename):
        place = _place(error.filename, error.lineno or 1)
    return first, place


def _place(file: str, line: int) -> str:
    path = Path(file).resolve()
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}, line {line}"
