"""Puts experiments/ on Hydra's search path, so that 'table1=glob(*)' finds the rows of a table."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from paa.config.paths import conf_dir, experiments_dir


class PaaSearchPath(SearchPathPlugin):
    """Acts for paa's own commands alone; other Hydra applications of the environment keep their search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Appends experiments/ when the primary configuration is paa's."""
        ours = str(conf_dir())
        if any((element.path or "").removeprefix("file://") == ours for element in search_path.get_path()):
            search_path.append(provider="paa", path=f"file://{experiments_dir()}")
