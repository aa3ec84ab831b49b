"""From a node of the configuration to the object that its `_target_` names.

Hydra's `instantiate` would do, but for its messages: a refusal here names the key as the user types it.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from paa.config.errors import ConfigError, keys_below
from paa.config.suggestions import listed, nearest
from paa.config.user_code import OwnCodeError, place_of
from paa.store.code_digest import WHERE, home_of

TARGET = "_target_"


def build(node: Mapping[str, Any], path: str, /, offers: Mapping[str, Any] | None = None, **given: Any) -> Any:
    """Calls the target with the node's keys, nodes within it built first.

    path    where the node lies in the configuration, for messages.
    offers  further arguments, passed where the target has a parameter of that name.
    given   further arguments, passed always.
    Keys that begin with "_" are for other nodes to read and are no arguments. Raises ConfigError, and OwnCodeError for
    what a class outside of the package raises.
    """
    target = _locate(node, path)
    arguments: dict[str, Any] = {}
    for key, value in node.items():
        if not key.startswith("_"):
            nested = isinstance(value, Mapping) and TARGET in value
            arguments[key] = build(value, f"{path}.{key}", offers) if nested else value
    try:
        parameters = dict(inspect.signature(target).parameters)
    except (TypeError, ValueError):
        parameters = {}
    arguments = {**{k: v for k, v in (offers or {}).items() if k in parameters}, **arguments, **given}
    what = f"{node[TARGET]}{place_of(target)}"
    if parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        names = [name for name in parameters if name not in given]
        for key in (key for key in arguments if key not in parameters):
            hint = nearest(key, names)
            raise ConfigError(f"{path}.{key}: {what} has no such argument. It has: {listed(names)}.{hint}")
        for name, parameter in parameters.items():
            needed = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL
            if needed and name not in arguments:
                raise ConfigError(f"{path}.{name} is missing: {what} needs it")
    if inspect.isabstract(target):
        missing = listed(sorted(target.__abstractmethods__))
        raise ConfigError(f"{path}: {what} cannot be built: it must implement {missing}")
    try:
        with keys_below(f"{path}."):
            return target(**arguments)
    except ConfigError:
        raise
    except Exception as error:
        own = OwnCodeError.of(error, f"{path}: {node[TARGET]} cannot be built")
        if own is None:
            raise
        raise own from error


def _locate(node: Mapping[str, Any], path: str) -> Any:
    name = node.get(TARGET)
    if not isinstance(name, str):
        raise ConfigError(f"{path}.{TARGET}={name}: must be the dotted name of a class or function")
    try:
        with suppress(ValueError):  # `resolve_name` would take an ImportError in the module for a name not there
            home_of(name)
        target = pkgutil.resolve_name(name)
    except Exception as error:
        problem = f"{path}.{TARGET}={name}: cannot be imported"
        own = OwnCodeError.of(error, problem)
        if own is not None:
            raise own from error
        reason = str(error).splitlines()[-1] if str(error) else type(error).__name__
        hint = f"; {WHERE}" if isinstance(error, ModuleNotFoundError) else ""
        raise ConfigError(f"{problem} ({reason}){hint}") from error
    if not callable(target):
        raise ConfigError(f"{path}.{TARGET}={name}: must be the dotted name of a class or function")
    return target
