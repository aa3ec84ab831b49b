"""Everything that paa takes from `hydra._internal`.

Hydra's public API either composes one configuration (`hydra.compose`) or runs a whole application (`hydra.main`). paa
composes each job of a sweep once, checks all of them, and only then hands them to the sweeper and launcher that the
user chose. That needs Hydra's config loader, argument parser, callbacks and grid, none of which is public.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.callbacks import Callbacks as Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_loader_impl import get_overrides_dirname as get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import create_config_search_path
from hydra._internal.utils import get_args_parser as get_args_parser
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime, setup_globals
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig

from paa.config.paths import HYDRA_VERSION, conf_dir

BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
"""`_target_` of the launcher that runs jobs one after another in this process."""


class ConfigLoader(ConfigLoaderImpl):
    """Hydra's loader, which parses each file once and gets the configuration of a sweep's job from `job_config`.

    job_config  called by launchers through `load_sweep_config` with a job's overrides; None: Hydra composes it.
    """

    def __init__(self, search_path: ConfigSearchPath) -> None:
        super().__init__(search_path)
        self.repository: Any = _CachedRepository(self.repository, {})
        self.job_config: Callable[[list[str]], DictConfig] | None = None

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Return the configuration of one job, Hydra's own node included."""
        if self.job_config is not None:
            return self.job_config(list(sweep_overrides))
        return super().load_sweep_config(master_config, sweep_overrides)

    def __getstate__(self) -> dict[str, Any]:
        """Drop `job_config`: a launcher's process composes its one job itself."""
        return {**self.__dict__, "job_config": None}


class _CachedRepository:
    """A config repository that loads each file once. Hydra merges into what it gets, so callers get copies."""

    def __init__(self, inner: Any, loaded: dict[str, ConfigResult | None]) -> None:
        self._inner, self._loaded = inner, loaded

    def __deepcopy__(self, memo: dict[int, Any]) -> _CachedRepository:
        return _CachedRepository(copy.deepcopy(self._inner, memo), self._loaded)

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Take another search path (hydra.searchpath=[...]) and forget what the old one gave."""
        self._inner.initialize_sources(config_search_path)
        self._loaded = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Return the file's content, None where there is no such file."""
        if config_path not in self._loaded:
            self._loaded[config_path] = self._inner.load_config(config_path=config_path)
        found = copy.copy(self._loaded[config_path])
        if found is not None:
            found.config, found.defaults_list = copy.deepcopy((found.config, found.defaults_list))
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._inner, name)


def config_loader(user_dir: Path | None) -> ConfigLoader:
    """Return a loader over conf/, experiments/ (a plugin adds it) and the folder of --config-dir."""
    version.setbase(HYDRA_VERSION)
    setup_globals()
    JobRuntime().set("name", "paa")
    search_path = create_config_search_path(str(conf_dir()))
    if user_dir is not None:
        search_path.prepend("command-line", f"file://{user_dir}", SearchPathQuery(provider="schema"))
    return ConfigLoader(search_path)


def grid(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of each job of a sweep: the product of all lists, the last one fastest. HydraException."""
    return BasicSweeper.split_arguments(list(overrides), max_batch_size=None)[0]
