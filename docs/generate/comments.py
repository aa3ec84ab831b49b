"""The files of conf/ with what their comments say: of each key its meaning, what values it takes, the paper's symbol.

The convention of a trailing comment, which may go on in comment lines below it:

    topk: 9  # candidates of a ground truth on each level; integer from 1; paper: K

is "meaning; values", and "; paper: symbol" where the paper has one. Keys of one group that share a name share a
meaning: it stands in one choice, and the others need none. In the presets of conf/compat "from: place" says where the
value is from: a section of the paper, or a file of the implementation that the preset follows.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

GLOBAL = "# @package _global_"

_REFERENCE = re.compile(r"\$\{(?:oc\.select:|paa\.by:)?([a-z_][\w.]*)(?=[},])")


@dataclass(frozen=True)
class Comment:
    """What a comment says, in its parts; a part that is missing is empty."""

    meaning: str = ""
    values: str = ""
    paper: str = ""
    source: str = ""

    @classmethod
    def of(cls, text: str) -> Comment:
        """From the text after "#"."""
        parts = [part.strip() for part in text.split("; ")]
        paper, source = (
            "; ".join(part.removeprefix(mark) for part in parts if part.startswith(mark))
            for mark in ("paper: ", "from: ")
        )
        meaning, *values = [part for part in parts if not part.startswith(("paper: ", "from: "))] or [""]
        return cls(meaning, "; ".join(values), paper, source)


@dataclass(frozen=True)
class Key:
    """A key of a file: its dotted name in the whole configuration, its value as written, its comment."""

    name: str
    written: str
    comment: Comment

    @property
    def references(self) -> list[str]:
        """The keys that its value is made of."""
        return list(dict.fromkeys(_REFERENCE.findall(self.written)))


@dataclass(frozen=True)
class Choice:
    """A file of conf/: a choice of `group`, or config.yaml, whose group is empty.

    about   the comment at its head.
    target  what it builds, or None.
    begins  the choice of its own group that it begins with, or None.
    picks   the choices of other groups that it makes.
    """

    group: str
    name: str
    about: str
    target: str | None
    begins: str | None
    picks: tuple[str, ...]
    keys: tuple[Key, ...]

    def own(self) -> tuple[Key, ...]:
        """The keys of its group."""
        return tuple(key for key in self.keys if not self.group or key.name.startswith(f"{self.group}."))

    def strange(self) -> tuple[Key, ...]:
        """The keys of other nodes that it sets."""
        own = self.own()
        return tuple(key for key in self.keys if key not in own)


def read_group(folder: Path) -> list[Choice]:
    """The choices of a group, by name."""
    return [read_choice(path, folder.name) for path in sorted(folder.glob("*.yaml"))]


def read_choice(path: Path, group: str) -> Choice:
    """One file of conf/; `group` is empty for config.yaml."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    head = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    whole = GLOBAL in head or not group
    about = " ".join(line.removeprefix("#").strip() for line in head if line != GLOBAL)
    root = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return Choice(group, path.stem, about, None, None, (), ())
    plain = {key.value: value for key, value in root.value}
    target = plain["_target_"].value if "_target_" in plain else None
    begins, picks = _defaults(plain.get("defaults"))
    keys = _keys(root, "" if whole else f"{group}.", lines)
    return Choice(group, path.stem, about, target, begins, picks, tuple(keys))


def _defaults(node: yaml.Node | None) -> tuple[str | None, tuple[str, ...]]:
    begins, picks = None, []
    for item in node.value if node is not None else ():
        if isinstance(item, yaml.ScalarNode):
            begins = begins if item.value == "_self_" else item.value
        else:
            group, choice = item.value[0]
            picks.append(f"{group.value.split()[-1].split('@')[0].lstrip('/')}={choice.value}")
    return begins, tuple(picks)


def _keys(node: yaml.MappingNode, path: str, lines: list[str]) -> Iterator[Key]:
    for key, value in node.value:
        name = f"{path}{key.value}"
        if key.value in ("_target_", "defaults") or name == "hydra":
            continue
        block = isinstance(value, yaml.MappingNode) and not value.flow_style
        text = "" if block else _comment(lines, value.end_mark.line, value.end_mark.column, key.start_mark.column)
        if isinstance(value, yaml.MappingNode) and not text:
            yield from _keys(value, f"{name}.", lines)
        else:
            yield Key(name, _between(lines, value), Comment.of(text))


def _comment(lines: list[str], row: int, column: int, indent: int) -> str:
    """The comment after a value that ends at (row, column), with the comment lines below it that stand further in."""
    found = re.match(r"\s+#\s*(.*)$", lines[row][column:]) if row < len(lines) else None
    if found is None:
        return ""
    text = [found[1].strip()]
    for line in lines[row + 1 :]:
        if not line.lstrip().startswith("#") or len(line) - len(line.lstrip()) <= indent:
            break
        text.append(line.lstrip()[1:].strip())
    return " ".join(text)


def _between(lines: list[str], node: yaml.Node) -> str:
    start, end = node.start_mark, node.end_mark
    if start.line == end.line:
        return lines[start.line][start.column : end.column].strip()
    middle = [lines[start.line][start.column :], *lines[start.line + 1 : end.line], lines[end.line][: end.column]]
    return " ".join(part.strip() for part in middle)
