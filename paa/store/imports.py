"""What a module's source imports, wherever in it the statement stands, found without running any of it."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path


def imported(name: str, file: Path) -> dict[str, Path]:
    """{module: its source file} of what the module `name` in `file` imports, at its top or within functions.

    Of `from a import b` that is `a.b` where there is such a module, else `a`, which then has `b`. What has no Python
    source is left out, and so is what is imported for type checkers alone. Nothing is imported to find it; a source
    that does not parse imports nothing.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return {}
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found = {}
    for module in _names(tree, package):
        source = source_file(module)
        if source is not None:
            found[module] = source
    return found


def source_file(name: str) -> Path | None:
    """The file of the module `name`, None where it has no Python source or there is none of that name."""
    if name in sys.modules:
        path = getattr(sys.modules[name], "__file__", None)
    else:
        spec = PathFinder.find_spec(name, _search(name))
        path = spec.origin if spec is not None and spec.has_location else None
    return Path(path).resolve() if path and path.endswith(".py") else None


def _search(name: str) -> list[str] | None:
    """Folders to look for the module `name` in: its package's, or None for those of sys.path."""
    parent = name.rpartition(".")[0]
    if not parent:
        return None
    if parent in sys.modules:
        return list(getattr(sys.modules[parent], "__path__", []))
    spec = PathFinder.find_spec(parent, _search(parent))
    return list(spec.submodule_search_locations or []) if spec is not None else []


def _names(tree: ast.AST, package: str) -> Iterator[str]:
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
                parts = alias.name.split(".")
                if alias.asname is None:  # the name that is bound is the outermost package's
                    yield from (".".join(parts[:cut]) for cut in range(1, len(parts)))
        elif isinstance(node, ast.ImportFrom):
            try:
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:  # above the outermost package: it cannot run
                continue
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if alias.name != "*" and source_file(inner) is not None else base


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below `node` but for what stands under `if TYPE_CHECKING:`."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
        below: list[ast.AST] = list(node.orelse)
    else:
        below = list(ast.iter_child_nodes(node))
    for child in below:
        yield from _statements(child)
