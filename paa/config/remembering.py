"""Configuration files that are read once, however often Hydra composes them: it parses each of them anew every time."""

from __future__ import annotations

import copy
from typing import Any

from hydra._internal.config_repository import IConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.config_source import ConfigResult


class Remembering:
    """A repository of Hydra's that remembers what it has loaded. Everybody gets a copy: Hydra merges into what it gets.

    What it remembers holds as long as it does, which is no longer than a `composer`.
    """

    def __init__(self, inner: IConfigRepository, loaded: dict[str, ConfigResult | None] | None = None) -> None:
        self._inner, self._loaded = inner, {} if loaded is None else loaded

    def __deepcopy__(self, memo: dict[int, Any]) -> Remembering:
        """Hydra copies the repository for each composition, so that it may change its search path."""
        return Remembering(copy.deepcopy(self._inner, memo), self._loaded)

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Another search path (hydra.searchpath=[...]): what was loaded from the old one does not hold."""
        self._inner.initialize_sources(config_search_path)
        self._loaded = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        """The file's content, None where there is none; read at the first call."""
        if config_path not in self._loaded:
            self._loaded[config_path] = self._inner.load_config(config_path=config_path)
        found = copy.copy(self._loaded[config_path])
        if found is not None:
            found.config, found.defaults_list = copy.deepcopy((found.config, found.defaults_list))
        return found

    def __getattr__(self, name: str) -> Any:
        """All else is asked of the repository itself."""
        return getattr(self._inner, name)
