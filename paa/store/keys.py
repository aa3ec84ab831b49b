"""Dotted keys ("assign.boundary.n") of nested mappings: configurations and records in plain types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def get(tree: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """Return the value of a dotted key, or `default` if the key or a node above it is missing."""
    node: Any = tree
    for name in key.split("."):
        # dict first: an isinstance check against Mapping is slow, and almost every node is a dict.
        if not isinstance(node, dict | Mapping) or name not in node:
            return default
        node = node[name]
    return node


def put(tree: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return a copy of `tree` with `value` at a dotted key; missing nodes are created, other branches shared."""
    name, _, rest = key.partition(".")
    return {**tree, name: put(tree.get(name) or {}, rest, value) if rest else value}


def drop(tree: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a copy of `tree` without a dotted key; the same content if there is no such key."""
    name, _, rest = key.partition(".")
    if not rest:
        return {other: value for other, value in tree.items() if other != name}
    inner = tree.get(name)
    return {**tree, name: drop(inner, rest)} if isinstance(inner, Mapping) else dict(tree)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return {dotted key: value} of all leaves; lists and empty nodes are leaves."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            found |= flatten(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found
