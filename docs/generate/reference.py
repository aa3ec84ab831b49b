"""The page of all keys, made of conf/: `python -m docs.generate.reference [FILE]` writes FILE, or prints it."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from docs.generate.comments import Choice, Comment, Key, read_choice, read_group
from paa import files
from paa.config.compose import Composer
from paa.config.paths import conf_dir, experiments_dir

INTRO = """\
# Configuration

*Generated from the comments in `conf/` by `make docs`. Edit those, not this page.*

`group=choice` selects a choice of a group, `key=value` sets a key. If a default comes from another key, the table names
that key: setting `recipe.topk` changes every key that reads it, setting `assign.topk` changes only that one. Invalid
values are rejected before anything starts. `python -m paa.train --cfg job` prints the configuration of a command.
"""


@dataclass(frozen=True)
class Conf:
    """All of conf/: config.yaml, and the choices of each group in the order of its defaults."""

    base: Choice
    groups: dict[str, list[Choice]]
    defaults: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> Conf:
        """Reads every file of `folder` but Hydra's own."""
        base = read_choice(folder / "config.yaml", "")
        order = [pick.split("=")[0] for pick in base.picks]
        found = {path.name: read_group(path) for path in folder.iterdir() if path.is_dir() and path.name != "hydra"}
        names = sorted(found, key=lambda name: (order.index(name.split(".")[0]), name))
        defaults = dict(pick.split("=") for pick in base.picks)
        for group in ("assign", "postprocess", "recipe"):  # what they pick holds over config.yaml's own picks
            for choice in found.get(group, []):
                if choice.name == defaults[group]:
                    defaults |= dict(pick.split("=") for pick in choice.picks)
        groups = {n: sorted(found[n], key=lambda choice: (choice.name != defaults[n], choice.name)) for n in names}
        return cls(base, groups, {name: defaults[name] for name in names})

    def choices(self) -> Iterator[Choice]:
        """config.yaml, then every choice."""
        yield self.base
        for choices in self.groups.values():
            yield from choices

    def comment(self, key: Key, group: str) -> Comment:
        """The comment of a key: its own, or that of the same key in the default choice or the first that has one."""
        default = self.defaults.get(group)
        ordered = sorted(self.choices(), key=lambda c: (c.group != group, c.name != default))
        same = [other.comment for choice in ordered for other in choice.keys if other.name == key.name]
        return next((comment for comment in (key.comment, *same) if comment.meaning), key.comment)

    def uncommented(self) -> list[str]:
        """Every key that no comment gives a meaning, with its file."""
        return [
            f"conf/{f'{choice.group}/' if choice.group else ''}{choice.name}.yaml: {key.name}"
            for choice in self.choices()
            for key in choice.keys
            if not self.comment(key, choice.group).meaning
        ]

    def readers(self, name: str) -> list[str]:
        """The keys whose values are made of the key `name`."""
        every = [key.name for choice in self.choices() for key in choice.keys if name in key.references]
        every += [
            key.name
            for choice in self.choices()
            for key in choice.keys
            if any(reference.startswith(f"{name}.") for reference in key.references)
        ]
        return sorted(set(every))


def page(folder: Path | None = None) -> str:
    """The page, in Markdown."""
    folder = folder or conf_dir()
    conf = Conf.read(folder)
    cfg = Composer().compose([])
    parts = [INTRO, "## Keys of every run\n", _table(conf, "", [conf.base], cfg, folder)]
    for group in conf.groups:
        parts.append(f"## `{group}`\n")
        parts += [_part(conf, group, some, cfg, folder) for some in alike(conf, group)]
    parts += ["## `hydra/launcher`\n", *(_launcher(path) for path in sorted((folder / "hydra" / "launcher").glob("*")))]
    parts.append("## Rows of the tables\n")
    parts += [_rows(path) for path in sorted(experiments_dir().iterdir()) if path.is_dir()]
    return "\n".join(parts)


def alike(conf: Conf, group: str) -> list[list[Choice]]:
    """The choices of a group, those together that stand in one table: their keys and what is said of them agree."""
    found: dict[tuple[object, ...], list[Choice]] = {}
    for choice in conf.groups[group]:
        keys = tuple((key.name, conf.comment(key, group)) for key in choice.own())
        found.setdefault((keys, choice.begins is not None), []).append(choice)
    return list(found.values())


def _part(conf: Conf, group: str, choices: Sequence[Choice], cfg: DictConfig, folder: Path) -> str:
    lines = []
    for choice in choices:
        builds = f" Builds `{choice.target}`." if choice.target else ""
        begins = f" Extends `{group}={choice.begins}`." if choice.begins else ""
        picks = [pick for pick in choice.picks if not pick.endswith(("=null", "=none"))]
        picked = f" Selects {', '.join(f'`{pick}`' for pick in picks)}." if picks else ""
        sets = ", ".join(f"`{key.name}={key.written}`" for key in choice.strange())
        mark = " (default)" if choice.name == conf.defaults[group] else ""
        about = f" {choice.about}" if choice.about else ""
        set_ = f" Sets {sets}." if sets else ""
        lines.append(f"* **`{group}={choice.name}`**{mark}:{about}{builds}{begins}{picked}{set_}")
    rows = "\n\n" + _table(conf, group, choices, cfg, folder) if choices[0].own() else "\n"
    return "\n".join(lines) + rows


def _table(conf: Conf, group: str, choices: Sequence[Choice], cfg: DictConfig, folder: Path) -> str:
    first = choices[0].own()
    written = [[key.written for key in choice.own()] for choice in choices]
    apart = any(row != written[0] for row in written)
    columns = list(choices) if apart else [choices[0]]
    comments = [conf.comment(key, group) for key in first]
    feeds = bool(group) and choices[0].target is None and any(conf.readers(key.name) for key in first)
    paper = any(comment.paper for comment in comments)
    head = ["key", *([f"`{choice.name}`" for choice in columns] if apart else ["default"]), "meaning", "values"]
    head += ["paper"] * paper + ["read by"] * feeds
    lines = [head, ["---"] * len(head)]
    shown = [_defaults(choice, cfg, folder) for choice in columns]
    for i, (key, comment) in enumerate(zip(first, comments, strict=True)):
        cells = [f"`{key.name}`", *(column[i] for column in shown), comment.meaning, comment.values]
        cells += [comment.paper] * paper
        cells += [", ".join(f"`{reader}`" for reader in conf.readers(key.name))] * feeds
        lines.append([cell.replace("|", "\\|") for cell in cells])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _defaults(choice: Choice, cfg: DictConfig, folder: Path) -> list[str]:
    """The default of each key as written; what refers to other keys as the value that they give, and their names."""
    keys = choice.own()
    if choice.group and any(key.references for key in keys):
        cfg, node = copy.deepcopy(cfg), OmegaConf.load(folder / choice.group / f"{choice.name}.yaml")
        assert isinstance(node, DictConfig)
        OmegaConf.update(cfg, choice.group, node.get(choice.group, node), merge=False)  # a global one names its group
    return [_given(cfg, key) if key.references else _plain(key) for key in keys]


def _given(cfg: DictConfig, key: Key) -> str:
    names = ", ".join(f"`{name}`" for name in key.references)
    try:
        return f"`{_flat(OmegaConf.select(cfg, key.name))}`, from {names}"
    except OmegaConfBaseException:  # made of a key that is required
        return f"from {names}"


def _flat(value: object) -> str:
    plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    return yaml.safe_dump(plain, default_flow_style=True).removesuffix("...\n").strip()


def _plain(key: Key) -> str:
    return "required" if key.written == "???" else f"`{key.written}`"


def _launcher(path: Path) -> str:
    """A launcher of ours; the default is Hydra's own, which runs one job after the other in this process."""
    choice = read_choice(path, "hydra.launcher")
    begins = f" Extends `hydra/launcher={choice.begins}`." if choice.begins else ""
    lines = [["key", "default", "meaning", "values"], ["---"] * 4]
    for key in choice.keys:
        comment = key.comment
        lines.append([f"`{key.name}`", _plain(key), comment.meaning, comment.values])
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"* **`hydra/launcher={choice.name}`**: {choice.about}{begins}\n\n{table}"


def _rows(folder: Path) -> str:
    lines = [f"`{folder.name}=ROW`, all of them with `-m '{folder.name}=glob(*)'`:\n"]
    for path in sorted(folder.glob("*.yaml")):
        choice = read_choice(path, folder.name)
        words = [*choice.picks, *(f"{key.name}={key.written}" for key in choice.keys)]
        lines.append(f"* `{path.stem}`: {' '.join(f'`{word}`' for word in words) or choice.about}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page; 1 where a key has no comment."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    lacking = Conf.read(conf_dir()).uncommented()
    if lacking:
        print("keys without a comment:\n  " + "\n  ".join(lacking), file=sys.stderr)
        return 1
    if words:
        files.write_text(Path(words[0]), page())
    else:
        print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
