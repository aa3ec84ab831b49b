"""The configurations of a sweep: composed once for each set of group choices, values then put in.

Hydra takes a fifth of a second for a configuration, whatever it shares with the one before. Here it composes each
distinct set of group choices once. Values that other keys refer to (`recipe.steps`, `compat.sigma_t`), or that are more
than a number or a word, are then merged and resolved as Hydra would, once for each distinct set of them; all others,
seeds above all, are put into the plain configuration. What comes out equals what Hydra composes.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from paa.config.compose import Composed, Composer, is_hydras, resolved
from paa.config.errors import ConfigError

_WORD = re.compile(r"[A-Za-z_][\w.]*")
_COMPUTED = re.compile(r"[\w.\]]\$\{|\$\{\s*\.|\}[\w.\[]")
"""An interpolation whose key is put together from another, or is relative: what it refers to is not in its text."""


@dataclass(frozen=True)
class Resolved:
    """A configuration in plain values. `choices` and `launcher` as in `Composed`."""

    config: dict[str, Any]
    choices: dict[str, str]
    launcher: str


class Bulk:
    """Composes one job after the other.

    hydras  overrides of Hydra's own configuration, the same for all.
    """

    def __init__(self, composer: Composer, hydras: Sequence[str] = ()) -> None:
        self._composer, self._hydras = composer, list(hydras)
        self._chosen: dict[tuple[str, ...], _Chosen] = {}

    def resolved(self, overrides: Sequence[str]) -> Resolved:
        """One configuration; ConfigError as from `Composer.compose` and `resolved`."""
        try:
            return self._put_together(self._composer.parse(overrides))
        except (HydraException, OmegaConfBaseException, ConfigError):
            # A mistake: composed as a whole, it is told as it was typed.
            composed = self._composer.composed([*self._hydras, *overrides])
            return Resolved(resolved(composed.cfg), composed.choices, composed.launcher)

    def _put_together(self, overrides: Sequence[Override]) -> Resolved:
        self._composer.refuse(overrides)
        groups = [one for one in overrides if self._chooses(one)]
        values = [one for one in overrides if not self._chooses(one)]
        lines = tuple(one.input_line or "" for one in groups)
        if lines not in self._chosen:
            self._chosen[lines] = _Chosen(self._composer.composed([*self._hydras, *lines]), self._composer)
        chosen = self._chosen[lines]
        config = chosen.config([one for one in values if not chosen.plain(one, values)])
        for one in values:
            if chosen.plain(one, values):
                config = _put(config, one.key_or_group.split("."), one.value())
        return Resolved(config, chosen.composed.choices, chosen.composed.launcher)

    def _chooses(self, override: Override) -> bool:
        key = override.key_or_group
        return override.package is not None or is_hydras(key) or self._composer.is_group(key)


class _Chosen:
    """The configuration of one set of group choices."""

    def __init__(self, composed: Composed, composer: Composer) -> None:
        self.composed, self._composer = composed, composer
        raw = OmegaConf.to_container(composed.cfg, resolve=False)
        assert isinstance(raw, dict)
        self._raw: dict[Any, Any] = raw
        references = [text for text in _texts(raw) if "${" in text]
        self._computed = any(_COMPUTED.search(text) for text in references)
        self._words = {word.strip(".") for text in references for word in _WORD.findall(text)}
        self._configs: dict[tuple[str, ...], dict[str, Any]] = {}
        self._plain: dict[str, bool] = {}

    def plain(self, override: Override, among: Sequence[Override]) -> bool:
        """Whether the override puts a value in a value's place and does nothing else.

        among  all overrides of values: of two that meet in a key the order matters, and one may refer to another.
        """
        line = override.input_line or ""
        if line not in self._plain:
            self._plain[line] = self._is_plain(override)
        key, others = override.key_or_group, [one for one in among if one is not override]
        refer = any("${" in (one.input_line or "") for one in others)
        return self._plain[line] and not refer and not any(_meet(one.key_or_group, key) for one in others)

    def config(self, overrides: Sequence[Override]) -> dict[str, Any]:
        """The plain configuration with `overrides` merged as Hydra merges them. Not to be changed."""
        lines = tuple(one.input_line or "" for one in overrides)
        if lines not in self._configs:
            cfg = self.composed.cfg
            if overrides:
                cfg = copy.deepcopy(cfg)
                ConfigLoaderImpl._apply_overrides_to_config(list(overrides), cfg)
                self._composer.refuse_strangers(cfg)
            self._configs[lines] = resolved(cfg)
        return self._configs[lines]

    def _is_plain(self, override: Override) -> bool:
        key, value = override.key_or_group, override.value()
        if override.is_add() or override.is_force_add() or override.is_delete() or self._computed:
            return False
        if not (value is None or isinstance(value, bool | int | float | str)):
            return False
        if isinstance(value, str) and ("${" in value or "???" in value or "\\" in value):
            return False
        there: Any = self._raw
        for name in key.split("."):
            if not isinstance(there, Mapping) or name not in there:
                return False
            there = there[name]
        # A missing value ("???") stands in the way of resolving the others.
        return not isinstance(there, Mapping | list) and there != "???" and not any(_meet(w, key) for w in self._words)


def _meet(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _texts(node: Any) -> Iterable[str]:
    if isinstance(node, str):
        yield node
    for inner in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from _texts(inner)


def _put(tree: dict[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """A copy with `value` at `path`; what lies beside the path is shared."""
    return {**tree, path[0]: value if len(path) == 1 else _put(tree[path[0]], path[1:], value)}
