"""Digests of code outside the package: if you edit your own boundary, its runs get another ID.

A class counts by the file that defines it and by the files of its base classes. Not by what these files import: put
what changes numbers into the same file, or into a base class. Not counted are base classes of the standard library, of
this package (`paa.NUMERICS` stands for it) and of installed libraries, whose versions are in the record.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from paa.store.errors import UntrustedCode

PACKAGE = "paa"
_LIBRARIES = frozenset({PACKAGE, "torch", "torchvision", "builtins"}) | sys.stdlib_module_names
INSTALLED = {"site-packages", "dist-packages"}
"""Folders of installed libraries."""

WHERE = "modules of your own are looked for in the current folder and on PYTHONPATH"
"""What to say where one is not found."""

_NOT_OURS = "must be a class of paa or your own; the record is not to be trusted"


def user_targets(config: Any) -> list[str]:
    """Return every `_target_` of a configuration whose code is the user's own."""
    return list(dict.fromkeys(target for target in targets(config) if target.split(".")[0] not in _LIBRARIES))


def targets(node: Any) -> Iterator[str]:
    """Yield every `_target_` in the order of the tree; one may come twice."""
    if isinstance(node, Mapping):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from targets(value)


@functools.cache
def source_digests(target: str) -> dict[str, str]:
    """Return {module: SHA-256 of its file} of the class `target` ("module.Name") and of its base classes.

    Read once in a process: that is the code that the process runs. ValueError if there is no such target.
    """
    thing = resolve(target)
    found = {}
    for part in getattr(thing, "__mro__", (thing,)):
        name = getattr(part, "__module__", None)
        path = _file(name) if isinstance(name, str) and name.split(".")[0] not in _LIBRARIES else None
        if path is not None and (part is thing or not INSTALLED & set(path.parts)):
            found[str(name)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def code_digests(config: Any) -> dict[str, dict[str, str]]:
    """Return {target: `source_digests`} of the user's own classes, as a record holds them."""
    return {target: dict(source_digests(target)) for target in user_targets(config)}


def refuse_untrusted(config: Any, code: Mapping[str, Mapping[str, str]], run: str) -> None:
    """Raise UntrustedCode unless every `_target_` of a recorded configuration may be built.

    Allowed are what the package itself defines, and the user's own classes whose files are those of the record (`code`,
    from `code_digests`). A record may come from anybody: no module is imported before its file is known to be the same.
    """
    own = set(user_targets(config))
    for target in targets(config):
        where = f"run={run}: _target_={target}"
        recorded = code.get(target) or {}
        if target in own:
            files = {name: _file(name) for name in recorded}
            digests = {n: path and hashlib.sha256(path.read_bytes()).hexdigest() for n, path in files.items()}
            if not recorded or any(path and INSTALLED & set(path.parts) for path in files.values()):
                raise UntrustedCode(f"{where}: no class of paa, and its source is not recorded; train it again")
            if None in files.values():
                raise UntrustedCode(f"{where}: its module was not found; {WHERE}")
            if digests != dict(recorded):
                raise UntrustedCode(f"{where}: its code has changed since training; restore it, or train again")
        elif target.split(".")[0] != PACKAGE:
            raise UntrustedCode(f"{where}: {_NOT_OURS}")
        try:
            module = str(getattr(resolve(target), "__module__", ""))
        except ValueError as error:
            raise UntrustedCode(f"run={run}: {error}") from error
        # "paa.files.os.system" is a name within the package as well.
        if module not in recorded and module.split(".")[0] != PACKAGE:
            raise UntrustedCode(f"{where}: {_NOT_OURS}")


def home_of(target: str) -> tuple[ModuleType, list[str]]:
    """Import the module of `target` ("module.Name"); return it and the names that lead on from it.

    ValueError if there is no such module; what the module itself raises is not caught.
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


def resolve(target: str) -> Any:
    """Import what `target` names. ValueError if there is no such thing."""
    thing: Any
    thing, names = home_of(target)
    module = thing.__name__
    for name in names:
        if not hasattr(thing, name):
            raise ValueError(f"_target_={target}: module {module} has no {'.'.join(names)}")
        thing = getattr(thing, name)
    return thing


def _file(name: str) -> Path | None:
    """The source file of the module `name`, found without importing anything; None if it has none."""
    if name in sys.modules:
        path = getattr(sys.modules[name], "__file__", None)
    else:
        folders: list[str] | None = None
        for end in range(1, name.count(".") + 2):
            spec = PathFinder.find_spec(".".join(name.split(".")[:end]), folders)
            if spec is None:
                return None
            folders, path = list(spec.submodule_search_locations or []), spec.origin
    return Path(path).resolve() if path and path.endswith(".py") else None
