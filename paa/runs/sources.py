"""Digests of code that lives outside of the package: whoever edits a boundary of their own gets another identity."""

from __future__ import annotations

import functools
import hashlib
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARIES = frozenset({"paa", "torch", "torchvision", "builtins"})
"""Top-level names whose code does not count: the package has `paa.NUMERICS` for it, libraries' versions stand in the
record, and a library's update must not rename every run."""

_INSTALLED = {"site-packages", "dist-packages"}


@functools.cache
def source_digest(target: str) -> str:
    """SHA-256 over the source of what `target` ("module.Name") is made of, in hex.

    That is the module that defines it, those that define its base classes, and, of the same package or folder, every
    module they take a name from. It is read once in a process: that is the source that the process runs. ValueError
    where there is no such target.
    """
    thing = _resolve(target)
    modules: dict[str, ModuleType] = {}
    for part in getattr(thing, "__mro__", (thing,)):
        module = _home(part)
        if module is not None and _counts(module):
            _close(module, modules)
    digest = hashlib.sha256()
    for name in sorted(modules):
        digest.update(f"{name}\n".encode())
        digest.update(Path(str(modules[name].__file__)).read_bytes())
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
    top = module.__name__.split(".")[0]
    return top not in LIBRARIES and top not in sys.stdlib_module_names and _file(module) is not None


def _file(module: ModuleType) -> Path | None:
    path = getattr(module, "__file__", None)
    return Path(path).resolve() if path and path.endswith(".py") else None


def _close(module: ModuleType, found: dict[str, ModuleType]) -> None:
    """Adds `module` and, transitively, its siblings that it takes a name from."""
    if module.__name__ in found:
        return
    found[module.__name__] = module
    for value in list(vars(module).values()):
        used = value if isinstance(value, ModuleType) else _home(value)
        if used is not None and _counts(used) and _related(module, used):
            _close(used, found)


def _related(module: ModuleType, other: ModuleType) -> bool:
    if module.__name__.split(".")[0] == other.__name__.split(".")[0]:
        return True
    here, there = _file(module), _file(other)
    if here is None or there is None or _INSTALLED & set(here.parts):
        return False
    return there.is_relative_to(here.parent)
