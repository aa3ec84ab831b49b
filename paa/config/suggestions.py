"""What is wrong with a command line, in one line, and what would be right."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from paa.config.errors import ConfigError

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
    if not re.fullmatch(r"[\w.]+", key):
        return text
    path, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, path) if path else cfg
    if not isinstance(node, DictConfig) or node._is_none() or name not in node:
        return text
    inner = node._get_node(name)
    if not isinstance(inner, Node) or not inner._is_interpolation():
        return text
    source = re.fullmatch(rf"\$\{{((?:{'|'.join(TEMPLATE_NODES)})\.[\w.]+)\}}", str(inner._value()))
    value = f"{key}={OmegaConf.select(cfg, key)}"
    return f"{value} (from {source[1]}){text[len(value) :]}" if source and text.startswith(value) else text


def listed(names: Iterable[str]) -> str:
    """ "a, b, c", or "none"."""
    return ", ".join(sorted(names)) or "none"


def nearest(name: str, names: Iterable[str]) -> str:
    """ " Did you mean x?", or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def explain_choice(group: str, value: object, options: list[str]) -> str | None:
    """Why the override group=value chooses nothing, or None if it is fine."""
    if value in options:
        return None
    value = "null" if value is None else value
    return f"{group}={value}: no such choice. Choices of {group}: {listed(options)}.{nearest(str(value), options)}"


def explain_unknown_key(cfg: DictConfig, default: DictConfig, path: str = "") -> str | None:
    """Why `cfg` has a key that nothing reads, or a value in a node's place; None where all is well.

    default  the configuration without any override: it has every key but those of nodes with a `_target_`, of which
             the target's arguments are the measure.
    """
    for name in [str(name) for name in cfg if path or name != "hydra"]:
        key = f"{path}.{name}" if path else name
        if name not in default:
            what = f"Keys of {path}" if path else "Keys"
            names = [str(known) for known in default if not str(known).startswith("_")]
            return f"{key}: no such key. {what}: {listed(names)}.{nearest(name, names)}"
        known, node = default._get_node(name), cfg._get_node(name)
        if not isinstance(known, DictConfig) or known._is_none():
            continue
        if not isinstance(node, DictConfig) or node._is_none():
            return no_value(key, known)
        problem = _value_within(node, known, key) if "_target_" in known else explain_unknown_key(node, known, key)
        if problem:
            return problem
    return None


def no_value(key: str, node: DictConfig) -> str:
    """What to say where a value was given to `node`, which holds keys."""
    inner = [str(name) for name in node if not str(name).startswith("_")]
    return f"{key}: is a node; set one of its keys: {listed(inner)}"


def _value_within(node: DictConfig, known: DictConfig, path: str) -> str | None:
    """The same as `explain_unknown_key` of arguments that are nodes, where both have the one target."""
    if node.get("_target_") != known.get("_target_"):
        return None
    for name, inner in known.items_ex(resolve=False):
        given = node._get_node(name)
        if isinstance(inner, DictConfig) and len(inner) and given is not None and not isinstance(given, DictConfig):
            return no_value(f"{path}.{name!s}", inner)
    return None


def explain_override(override: Override, cfg: DictConfig, groups: list[str]) -> str | None:
    """Why the override of a value names no key of `cfg` (composed without it), or None if it does."""
    if override.is_add() or override.is_delete() or override.is_force_add():
        return None
    path = override.key_or_group.split(".")
    node: Any = cfg
    for depth, name in enumerate(path):
        owner = ".".join(path[:depth])
        if not isinstance(node, DictConfig):
            return f"{override.key_or_group}: no such key. {owner} is a value, not a group of keys"
        if name not in node.keys():  # noqa: SIM118 - `in` does not see a key whose value is missing
            names = [str(key) for key in node if not str(key).startswith("_")]
            names = names if owner else sorted({*names, *groups})
            what = f"Keys of {owner}" if owner else "Keys and groups"
            hint = _hint(path, depth, names, cfg)
            return f"{override.key_or_group}: no such key. {what}: {listed(names)}.{hint}"
        node = node._get_node(name)
        if OmegaConf.is_missing(cfg, ".".join(path[: depth + 1])):
            node = None
    if isinstance(node, DictConfig) and len(node) and isinstance(override.value(), list):  # Hydra cannot merge it
        return no_value(override.key_or_group, node)
    return None


def _hint(path: list[str], depth: int, names: list[str], cfg: DictConfig) -> str:
    """The key that was meant: one beside it that is spelled alike, else those elsewhere of the very same name."""
    close = difflib.get_close_matches(path[depth], names, n=1)
    meant = [".".join([*path[:depth], *close, *path[depth + 1 :]])] if close else []
    if not close:
        alike = [key.split(".") for key in _leaves(cfg, "") if key.split(".")[-1] == path[-1]]
        meant = [".".join(key) for key in alike if key[0] not in TEMPLATE_NODES]
    return f" Did you mean {' or '.join(meant)}?" if 1 <= len(meant) <= 3 else ""


def _leaves(node: DictConfig, path: str) -> Iterator[str]:
    for name in map(str, node):
        inner = node._get_node(name)
        if isinstance(inner, DictConfig) and not inner._is_none() and not inner._is_interpolation():
            yield from _leaves(inner, f"{path}{name}.")
        else:
            yield path + name


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
            raise ConfigError(explain_choice(key, value, composer.options(key)))


def is_hydras(key: str) -> bool:
    """Whether a key or group is Hydra's own: hydra.sweep.dir, hydra/launcher."""
    return re.split(r"[./]", key)[0] == "hydra"


def explain_failure(composer: Composer, overrides: Sequence[Override], error: Exception) -> str:
    """Why Hydra cannot compose a configuration with these overrides; its own words where we know no better."""
    choices = [o for o in overrides if composer.is_group(o.key_or_group) and not o.is_sweep_override()]
    problems = (explain_choice(o.key_or_group, o.value(), composer.options(o.key_or_group)) for o in choices)
    found = next(filter(None, problems), None)
    try:
        cfg = composer.unchecked([o.input_line or "" for o in choices])
        groups = composer.groups()
        rest = [o for o in overrides if o not in choices and not is_hydras(o.key_or_group)]
        found = found or next(filter(None, (explain_override(o, cfg, groups) for o in rest)), None)
    except (HydraException, OmegaConfBaseException):
        found = found or next(filter(None, (_explain_group(composer, o, choices) for o in choices)), None)
    return found or " ".join([line.strip() for line in str(error).splitlines() if line.strip()][:2])


def _explain_group(composer: Composer, override: Override, choices: Sequence[Override]) -> str | None:
    """Why a choice is what the others cannot be composed with: its group belongs to another choice of their parent."""
    key = override.key_or_group
    parent = key.split(".")[0]
    try:
        cfg = composer.unchecked([o.input_line or "" for o in choices if o is not override])
    except (HydraException, OmegaConfBaseException):
        return None
    if parent == key or OmegaConf.select(cfg, key) is not None:
        return None
    chosen = next((o.value() for o in choices if o.key_or_group == parent), "the chosen one")
    nodes = {option: composer.unchecked([f"{parent}={option}"]) for option in composer.options(parent)}
    owners = [option for option, node in nodes.items() if OmegaConf.select(node, key) is not None]
    return f"{key}={override.value()}: {parent}={chosen} has no {key}; it belongs to {parent}={listed(owners)}"


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
