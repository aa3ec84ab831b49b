"""Digests of code that lives outside of the package: whoever edits a boundary of their own gets another identity."""

from __future__ import annotations

import functools
import hashlib
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from paa.store.imports import imported

LIBRARIES = frozenset({"paa", "torch", "torchvision", "builtins"})
"""Top-level names whose code does not count: the package has `paa.NUMERICS` for it, libraries' versions stand in the
record, and a library's update must not rename every run."""

_INSTALLED = {"site-packages", "dist-packages"}


@functools.cache
def source_digest(target: str) -> str:
    """SHA-256 over the source of what `target` ("module.Name") is made of, in hex.

    That is the module that defines it, those that define its base classes, and, of the same package or folder, every
    module they take a name from or import, at the top or in a function; a module that is named at run time alone
    (`import_module(name)`) is not seen. It is read once in a process: that is the source that the process runs.
    ValueError where there is no such target.
    """
    thing = _resolve(target)
    modules: dict[str, ModuleType] = {}
    for part in getattr(thing, "__mro__", (thing,)):
        module = _home(part)
        if module is not None and _counts(module):
            _close(module, modules)
    files: dict[str, Path] = {}
    for name, module in modules.items():
        _follow(name, Path(str(module.__file__)).resolve(), files)
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\n".encode())
        digest.update(files[name].read_bytes())
    return digest.hexdigest()


def home_of(target: str) -> tuple[ModuleType, list[str]]:
    """The module that `target` ("module.Name") lies in, imported, and the names that lead on from it.

    ValueError where there is no such module; what the module itself raises is let through.
    """
    parts = target.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:cut])
        try:
            return importlib.import_module(name), parts[cut:]
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(f"{error.name}.")):
                continue
            raise
    raise ValueError(f"_target_={target}: there is no module {parts[0]} to import")


def _resolve(target: str) -> Any:
    thing: Any
    thing, names = home_of(target)
    module = thing.__name__
    for name in names:
        if not hasattr(thing, name):
            raise ValueError(f"_target_={target}: module {module} has no {'.'.join(names)}")
        thing = getattr(thing, name)
    return thing


def _home(thing: Any) -> ModuleType | None:
    """The module that defines `thing`, where that can be told."""
    name = getattr(thing, "__module__", None)
    return sys.modules.get(name) if isinstance(name, str) else None


def _counts(module: ModuleType) -> bool:
    return _foreign(module.__name__) and _file(module) is not None


def _foreign(name: str) -> bool:
    top = name.split(".")[0]
    return top not in LIBRARIES and top not in sys.stdlib_module_names


def _file(module: ModuleType) -> Path | None:
    path = getattr(module, "__file__", None)
    return Path(path).resolve() if path and path.endswith(".py") else None


def _close(module: ModuleType, found: dict[str, ModuleType]) -> None:
    """Adds `module` and, transitively, its siblings that define a value of its names."""
    if module.__name__ in found:
        return
    found[module.__name__] = module
    here = _file(module)
    for value in list(vars(module).values()):
        used = value if isinstance(value, ModuleType) else _home(value)
        there = _file(used) if used is not None else None
        if used is None or here is None or there is None or not _foreign(used.__name__):
            continue
        if _related(module.__name__, here, used.__name__, there):
            _close(used, found)


def _follow(name: str, file: Path, found: dict[str, Path]) -> None:
    """Adds the module and, transitively, its siblings that its source imports: a constant does not say whence it is."""
    if name in found:
        return
    found[name] = file
    for other, there in imported(name, file).items():
        if _foreign(other) and _related(name, file, other, there):
            _follow(other, there, found)


def _related(name: str, here: Path, other: str, there: Path) -> bool:
    if name.split(".")[0] == other.split(".")[0]:
        return True
    return not _INSTALLED & set(here.parts) and there.is_relative_to(here.parent)
