"""From a command line to checked configurations, before Hydra acts: every job of a sweep, or one clear line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra import version as hydra_version
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from paa.checks import OutOfRange
from paa.config.errors import ConfigError
from paa.config.paths import HYDRA_VERSION, conf_dir
from paa.config.remembering import Remembering
from paa.config.suggestions import explain_choice, explain_override, explain_unknown_key, listed
from paa.engine.schedule import in_epochs, milestones_in_epochs

if not OmegaConf.has_resolver("paa.pid"):
    OmegaConf.register_new_resolver("paa.pid", os.getpid)
if not OmegaConf.has_resolver("paa.norm"):  # normalization of a backbone, by whether it has weights
    OmegaConf.register_new_resolver("paa.norm", lambda weights, pretrained: pretrained if weights else "group")
if not OmegaConf.has_resolver("paa.steps"):  # the recipe's steps and milestones, counted as a preset counts
    OmegaConf.register_new_resolver("paa.steps", in_epochs)
    OmegaConf.register_new_resolver("paa.milestones", milestones_in_epochs)

_DEFAULTS: dict[str, DictConfig] = {}


@dataclass(frozen=True)
class Command:
    """A parsed command line: Hydra's own flags, and the overrides as typed."""

    overrides: tuple[str, ...]
    multirun: bool
    config_dir: str | None
    passive: bool  # --help, --info, --cfg: something is shown, nothing runs


def parse(argv: Sequence[str]) -> Command:
    """Reads the command line as Hydra will; ConfigError for flags of Hydra's that name another configuration."""
    args = get_args_parser().parse_intermixed_args(list(argv))
    for flag in ("config_name", "config_path", "experimental_rerun"):
        if getattr(args, flag) is not None:
            raise ConfigError(
                f"--{flag.replace('_', '-')}: not here; --config-dir DIR adds groups and choices of your own"
            )
    passive = bool(args.help or args.hydra_help or args.cfg or args.info)
    return Command(tuple(args.overrides), bool(args.multirun), args.config_dir, passive)


def flags_first(argv: Sequence[str]) -> list[str]:
    """The command line with its overrides at the end: Hydra refuses those on both sides of a flag (a=1 -m b=1,2)."""
    overrides = list(parse(argv).overrides)
    flags: list[str] = []
    waiting = list(overrides)
    for word in reversed(argv):
        if waiting and word == waiting[-1]:
            waiting.pop()
        else:
            flags.insert(0, word)
    return [*flags, *overrides]


@contextmanager
def composer(config_dir: str | None = None) -> Iterator[Composer]:
    """A composer over conf/, experiments/ and a folder of one's own."""
    own = Path(config_dir).resolve() if config_dir else None
    if own is not None and not own.is_dir():
        raise ConfigError(f"--config-dir {config_dir}: no such folder")
    was = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    hydra_version.setbase(HYDRA_VERSION)
    search_path = create_config_search_path(str(conf_dir()))
    if own is not None:  # where Hydra puts it
        search_path.prepend("command-line", f"file://{own}", SearchPathQuery(provider="schema"))
    try:
        Hydra.create_main_hydra2("paa", search_path)
        yield Composer()
    finally:
        GlobalHydra.instance().clear()
        if was is not None:
            GlobalHydra.instance().initialize(was)


@dataclass(frozen=True)
class Composed:
    """A composed configuration.

    cfg       with its references, without Hydra's own node.
    choices   {group: choice}, without Hydra's groups.
    launcher  the choice of hydra/launcher.
    """

    cfg: DictConfig
    choices: dict[str, str]
    launcher: str


class Composer:
    """Composes jobs; made by `composer`."""

    def __init__(self) -> None:
        self._loader = compose_loader()
        self._loader.repository = Remembering(self._loader.repository)
        self._parser = OverridesParser.create(config_loader=self._loader)
        self._parsed: dict[str, Override] = {}
        self._groups: dict[str, bool] = {}

    def jobs(self, overrides: Sequence[str], multirun: bool) -> list[list[str]]:
        """The overrides of each job, as Hydra's sweeper will split them."""
        parsed = self.parse(overrides)
        if not multirun:
            for override in parsed:
                if override.is_sweep_override():
                    raise ConfigError(f"{override.input_line}: several values are a sweep; add -m")
            return [list(overrides)]
        try:
            return BasicSweeper.split_arguments(parsed, max_batch_size=None)[0]
        except HydraException as error:
            raise ConfigError(str(error)) from error

    def split(self, overrides: Sequence[str]) -> tuple[list[str], list[str]]:
        """Overrides of Hydra's own configuration (hydra/launcher=slurm), and the others; each in its order."""
        parsed = self.parse(overrides)
        hydras = [text for text, one in zip(overrides, parsed, strict=True) if is_hydras(one.key_or_group)]
        return hydras, [text for text in overrides if text not in hydras]

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """One configuration; raises ConfigError saying which key or choice is wrong and which are right."""
        return self.composed(overrides).cfg

    def composed(self, overrides: Sequence[str]) -> Composed:
        """One configuration and what was chosen for it. Raises as `compose`."""
        self.refuse(self.parse(overrides))
        try:
            cfg = compose("config", list(overrides), return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(self._explain(overrides, error)) from error
        chosen = cfg.hydra.runtime.choices
        with open_dict(cfg):
            del cfg["hydra"]
        self.refuse_strangers(cfg)
        return Composed(cfg, choices_of(chosen), str(chosen["hydra/launcher"]))

    def refuse_strangers(self, cfg: DictConfig) -> None:
        """ConfigError for a key that nothing reads, and for a value in a node's place."""
        problem = explain_unknown_key(cfg, self._default())
        if problem:
            raise ConfigError(problem)

    def launcher(self, hydras: Sequence[str]) -> dict[str, Any]:
        """The node of hydra/launcher that these overrides of Hydra's own configuration come to."""
        try:
            node = OmegaConf.to_container(compose("config", list(hydras), return_hydra_config=True).hydra.launcher)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(self._explain(hydras, error)) from error
        assert isinstance(node, dict)
        return {str(key): value for key, value in node.items()}

    def _default(self) -> DictConfig:
        """The configuration without an override; composed once in a process for each search path."""
        path = str(self._loader.get_search_path())
        if path not in _DEFAULTS:
            _DEFAULTS[path] = compose("config", [])
        return _DEFAULTS[path]

    def group(self, group: str, choice: str) -> DictConfig:
        """The node that one choice of a group composes to, within an otherwise default configuration."""
        node = OmegaConf.select(self.compose([f"{group}={choice}"]), group)
        assert isinstance(node, DictConfig)
        return node

    def is_group(self, key: str) -> bool:
        """Whether `key` names a config group."""
        if key not in self._groups:
            self._groups[key] = bool(self._loader.get_group_options(key))
        return self._groups[key]

    def options(self, group: str) -> list[str]:
        """The choices of a group."""
        return list(self._loader.get_group_options(group))

    def groups(self) -> list[str]:
        """The groups of paa, without Hydra's."""
        return sorted(g for g in self._loader.list_groups("") if g != "hydra")

    def parse(self, overrides: Sequence[str]) -> list[Override]:
        """Overrides as Hydra reads them; ConfigError for one that cannot be read."""
        try:
            for text in overrides:
                if text not in self._parsed:
                    (self._parsed[text],) = self._parser.parse_overrides([text])
            return [self._parsed[text] for text in overrides]
        except OverrideParseException as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"{error.override}: cannot be read as key=value ({reason}); values with brackets or spaces want quotes"
            ) from error

    def refuse(self, overrides: Sequence[Override]) -> None:
        """ConfigError for what Hydra accepts and an experiment has no use for."""
        for override in overrides:
            key = override.key_or_group
            if is_hydras(key):
                continue
            if not key:
                raise ConfigError(f"{override.input_line}: cannot be read as key=value")
            if override.is_delete():
                raise ConfigError(f"{override.input_line}: no key can be left out; say {key}=VALUE")
            if not isinstance(override.value(), str | list) and self.is_group(key):
                raise ConfigError(explain_choice(key, override.value(), self.options(key)))
            if isinstance(override.value(), list) and self.is_group(key):
                raise ConfigError(f"{override.input_line}: one choice, not a list; -m {key}=a,b is a sweep over two")

    def _explain(self, overrides: Sequence[str], error: Exception) -> str:
        parsed, groups = self.parse(overrides), self.groups()
        choices = [o for o in parsed if self.is_group(o.key_or_group)]
        for override in choices:
            group, value = override.key_or_group, override.value()
            problem = explain_choice(group, value, self.options(group))
            if problem:
                return problem
        try:
            cfg = compose("config", [o.input_line or "" for o in choices])
        except (HydraException, OmegaConfBaseException):
            return self._explain_groups(choices) or _first_lines(error)
        for override in parsed:
            if override not in choices and not is_hydras(override.key_or_group):
                problem = explain_override(override, cfg, groups)
                if problem:
                    return problem
        return _first_lines(error)

    def _explain_groups(self, choices: list[Override]) -> str | None:
        for override in choices:
            key = override.key_or_group
            rest = [o.input_line or "" for o in choices if o is not override]
            try:
                cfg = compose("config", rest)
            except (HydraException, OmegaConfBaseException):
                continue
            if "." in key and OmegaConf.select(cfg, key) is None:
                parent = key.split(".")[0]
                chosen = next((o.value() for o in choices if o.key_or_group == parent), "the chosen one")
                owners = [
                    option
                    for option in self.options(parent)
                    if OmegaConf.select(compose("config", [f"{parent}={option}"]), key) is not None
                ]
                return (
                    f"{key}={override.value()}: {parent}={chosen} has no {key}; it belongs to {parent}={listed(owners)}"
                )
        return None


def compose_loader() -> Any:
    """Hydra's config loader of the composer in force."""
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    return hydra.config_loader


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain values; ConfigError for a missing value or a broken reference."""
    try:
        missing = sorted(_missing(OmegaConf.to_container(cfg, resolve=False), ""))
        if missing:
            raise ConfigError(f"{missing[0]} is missing: add {missing[0]}=VALUE to the command")
        plain = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        text = str(error).splitlines()[0]
        refused = text.partition(f"{OutOfRange.__name__} raised while resolving interpolation: ")[2]  # by a resolver
        raise ConfigError(refused or f"{error.full_key}: {text}") from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _missing(node: Any, path: str) -> Iterator[str]:
    """The keys of an unresolved configuration that want a value; those that refer to them do not count."""
    if isinstance(node, dict):
        for name, inner in node.items():
            yield from _missing(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield from _missing(inner, f"{path}[{number}]")
    elif node == "???":
        yield path


def choices_of(chosen: Mapping[str, Any]) -> dict[str, str]:
    """{group: choice} of what Hydra calls `runtime.choices`, without its own groups and those without a choice."""
    return {group: str(choice) for group, choice in chosen.items() if not is_hydras(group) and choice is not None}


def is_hydras(key: str) -> bool:
    """Whether a key or group is Hydra's own: hydra.sweep.dir, hydra/launcher."""
    return re.split(r"[./]", key)[0] == "hydra"


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])
