"""Where conf/ and experiments/ lie: beside paa/ in a checkout, inside it in a wheel."""

from pathlib import Path

HYDRA_VERSION = "1.3"
"""Whose defaults hold."""


def _find(name: str) -> Path:
    package = Path(__file__).resolve().parents[1]
    for folder in (package / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{package.parent / name}: the folder {name}/ is missing; install paa again")


def conf_dir() -> Path:
    """Hydra's groups."""
    return _find("conf")


def experiments_dir() -> Path:
    """The rows of the tables."""
    return _find("experiments")
