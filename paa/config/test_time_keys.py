"""The keys that may change once the weights are there, without composing anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from paa.config.paths import conf_dir

OPEN = ("postprocess", "images.test", "evaluate", "data.root", "data.split", "device", "threads", "workers", "lock")
"""Keys that may change once the weights are there; all others made the weights what they are."""


def open_keys() -> list[str]:
    """Every key below OPEN that conf/ has, dotted. Reads a few files of conf/, and not Hydra: an answer in no time."""
    import yaml

    def load(path: Path) -> Any:
        return yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))

    tree = load(conf_dir() / "config.yaml")
    for path in sorted(conf_dir().glob("postprocess*/*.yaml")):  # a group within a group has both in its folder's name
        node = tree
        for name in path.parent.name.split("."):
            node = node.setdefault(name, {})
        node |= {key: value for key, value in (load(path) or {}).items() if key != "defaults"}
    below = tuple(f"{name}." for name in OPEN)
    found = {key for key in _leaves(tree, "") if key in OPEN or key.startswith(below)}
    groups = {path.name for path in conf_dir().glob("postprocess.*")}
    return sorted(found | groups | {name for name in OPEN if name.startswith("data.")})


def _leaves(node: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{name}.")
        elif not str(name).startswith("_"):
            yield f"{path}{name}"
