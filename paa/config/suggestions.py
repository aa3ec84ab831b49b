"""What is wrong with a command line, in one line, and what would be right."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from paa.config.errors import ConfigError
from paa.store import keys

if TYPE_CHECKING:
    from paa.config.compose import Composer

TEMPLATE_NODES = ("compat", "recipe", "pretrained")
"""Nodes whose values are read only by the keys of other nodes."""


def with_preset(text: str, cfg: DictConfig) -> str:
    """Return an error message that begins with key=value with the key of the preset that the value comes from, as one
    that the user may have typed: "anchors.center=2 (from compat.center) is out of range". Others stay as they are.

    cfg  the composed configuration, with its references.
    """
    key = text.partition("=")[0]
    reference = str(keys.get(unresolved(cfg), key))
    source = re.search(rf"\$\{{((?:{'|'.join(TEMPLATE_NODES)})\.[\w.]+)\}}", reference)
    if source is None or OmegaConf.select(cfg, source[1]) != OmegaConf.select(cfg, key):
        return text
    value = f"{key}={OmegaConf.select(cfg, key)}"
    return f"{value} (from {source[1]}){text[len(value) :]}" if text.startswith(value) else text


def unresolved(cfg: DictConfig) -> dict[str, Any]:
    """Return a configuration in plain values, without Hydra's own node: references as text, missing values as "???"."""
    tree: Any = OmegaConf.to_container(cfg, resolve=False)
    tree.pop("hydra", None)
    return tree


def listed(names: Iterable[str]) -> str:
    """ "a, b, c", or "none"."""
    return ", ".join(sorted(names)) or "none"


def nearest(name: str, names: Iterable[str]) -> str:
    """ " Did you mean x?", or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def check_choice(group: str, value: object, options: list[str]) -> None:
    """Raise ConfigError where the override group=value chooses nothing."""
    if value not in options:
        value = "null" if value is None else value
        hint = nearest(str(value), options)
        raise ConfigError(f"{group}={value}: no such choice. Choices of {group}: {listed(options)}.{hint}")


def check_keys(config: Mapping[str, Any], default: Mapping[str, Any], path: str = "") -> None:
    """Raise ConfigError for a key that nothing reads, or a value in a node's place.

    config   `unresolved`; default, the same without any override: it has every key but those of nodes with a
             `_target_`, of which the target's arguments are the measure.
    """
    for name, node in config.items():
        key = f"{path}.{name}" if path else name
        if name not in default:
            names = _names(default)
            what = f"Keys of {path}" if path else "Keys"
            raise ConfigError(f"{key}: no such key. {what}: {listed(names)}.{nearest(name, names)}")
        known = default[name]
        if not isinstance(known, Mapping):
            continue
        if not isinstance(node, Mapping):
            _refuse_value(key, known)
        if "_target_" not in known:
            check_keys(node, known, key)
        elif node.get("_target_") == known["_target_"]:
            for argument, inner in known.items():
                if isinstance(inner, Mapping) and inner and not isinstance(node.get(argument), Mapping | None):
                    _refuse_value(f"{key}.{argument}", inner)


def _refuse_value(key: str, node: Mapping[str, Any]) -> NoReturn:
    """Raise ConfigError for a value that was given to `node`, which holds keys."""
    raise ConfigError(f"{key}: is a node; set one of its keys: {listed(_names(node))}")


def _names(node: Mapping[str, Any]) -> list[str]:
    return [str(name) for name in node if not str(name).startswith("_")]


def check_override(override: Override, config: Mapping[str, Any], groups: list[str]) -> None:
    """Raise ConfigError where the override of a value names no key of `config`, `unresolved` without it."""
    if override.is_add() or override.is_delete() or override.is_force_add():
        return
    path = override.key_or_group.split(".")
    node: Any = config
    for depth, name in enumerate(path):
        owner = ".".join(path[:depth])
        problem = f"{override.key_or_group}: no such key."
        if not isinstance(node, Mapping):
            raise ConfigError(f"{problem} {owner} is a value, not a group of keys")
        if name not in node:
            names = _names(node) if owner else sorted({*_names(node), *groups})
            what = f"Keys of {owner}" if owner else "Keys and groups"
            raise ConfigError(f"{problem} {what}: {listed(names)}.{_hint(path, depth, names, config)}")
        node = node[name]
    if isinstance(node, Mapping) and node and isinstance(override.value(), list):  # Hydra cannot merge it
        _refuse_value(override.key_or_group, node)


def _hint(path: list[str], depth: int, names: list[str], config: Mapping[str, Any]) -> str:
    """The key that was meant: one beside it that is spelled alike, else those elsewhere of the very same name."""
    close = difflib.get_close_matches(path[depth], names, n=1)
    meant = [".".join([*path[:depth], *close, *path[depth + 1 :]])] if close else []
    if not close:
        alike = [key.split(".") for key in keys.flatten(config)]
        meant = [".".join(key) for key in alike if key[-1] == path[-1] and key[0] not in TEMPLATE_NODES]
    return f" Did you mean {' or '.join(meant)}?" if 1 <= len(meant) <= 3 else ""


def refuse(composer: Composer, overrides: Sequence[Override]) -> None:
    """ConfigError for what Hydra accepts and an experiment has no use for."""
    for override in overrides:
        key, value = override.key_or_group, override.value()
        if is_hydras(key):
            continue
        if not key:
            raise ConfigError(f"{override.input_line}: cannot be read as key=value")
        if override.is_delete():
            raise ConfigError(f"{override.input_line}: deleting keys is not supported; set {key}=VALUE")
        if isinstance(value, list) and composer.is_group(key):
            raise ConfigError(f"{override.input_line}: one choice, not a list; -m {key}=a,b is a sweep over two")
        if not isinstance(value, str) and composer.is_group(key):
            check_choice(key, value, composer.options(key))


def is_hydras(key: str) -> bool:
    """Whether a key or group is Hydra's own: hydra.sweep.dir, hydra/launcher."""
    return re.split(r"[./]", key)[0] == "hydra"


def explain_failure(composer: Composer, overrides: Sequence[Override]) -> None:
    """Raise ConfigError with the reason why Hydra cannot compose these overrides, where it can be found."""
    choices = [o for o in overrides if composer.is_group(o.key_or_group) and not o.is_sweep_override()]
    for override in choices:
        check_choice(override.key_or_group, override.value(), composer.options(override.key_or_group))
    try:
        config = composer.unchecked([o.input_line or "" for o in choices])
    except (HydraException, OmegaConfBaseException):
        for override in choices:
            _check_group(composer, override, choices)
        return
    for override in overrides:
        if override not in choices and not is_hydras(override.key_or_group):
            check_override(override, config, composer.groups())


def _check_group(composer: Composer, override: Override, choices: Sequence[Override]) -> None:
    """Raise ConfigError for a choice whose group belongs to another choice of their parent than the one made."""
    key = override.key_or_group
    parent = key.split(".")[0]
    try:
        config = composer.unchecked([o.input_line or "" for o in choices if o is not override])
    except (HydraException, OmegaConfBaseException):
        return
    if parent != key and keys.get(config, key) is None:
        chosen = next((o.value() for o in choices if o.key_or_group == parent), "the chosen one")
        nodes = {option: composer.unchecked([f"{parent}={option}"]) for option in composer.options(parent)}
        owners = listed(option for option, node in nodes.items() if keys.get(node, key) is not None)
        problem = f"{parent}={chosen} has no {key}; it belongs to {parent}={owners}"
        raise ConfigError(f"{key}={override.value()}: {problem}")


def quoted(override: str) -> str:
    """Quote a value that is a path with letters beyond ASCII or a ~, which Hydra's grammar wants in quotes.

    ConfigError for bytes that are no text: what a run writes (its record, its logs) is UTF-8.
    """
    key, sign, value = override.partition("=")
    if any("\udc80" <= letter <= "\udcff" for letter in override):
        shown = os.fsencode(value).decode("utf-8", "backslashreplace")
        raise ConfigError(f"{key}={shown}: is not UTF-8; must be a path in UTF-8, e.g. a link to this one")
    plain = value.isascii() and not value.startswith("~")
    return override if plain or re.search(r"['\"\\\[\]{}(),=]", value) or not sign else f"{key}='{value}'"
