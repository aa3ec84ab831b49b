"""Compose the configurations of a command line's jobs, or say in one line what is wrong with it."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from paa.checks import OutOfRange, choice
from paa.config.errors import ConfigError
from paa.config.hydra_internal import config_loader, get_args_parser, grid, override_dirname
from paa.config.suggestions import explain_choice, explain_override, explain_unknown_key, listed
from paa.engine.schedule import in_epochs, milestones_in_epochs
from paa.store import keys

if not OmegaConf.has_resolver("paa.pid"):
    OmegaConf.register_new_resolver("paa.pid", os.getpid)
    # The normalization of a backbone depends on whether it has pretrained weights.
    OmegaConf.register_new_resolver("paa.norm", lambda weights, pretrained: pretrained if weights else "group")
    # The recipe's steps and milestones, as the preset counts them.
    OmegaConf.register_new_resolver("paa.steps", in_epochs)
    OmegaConf.register_new_resolver("paa.milestones", milestones_in_epochs)
    # The value that another key chooses: ${paa.by:assign._preset_,{authors:1,mmdet:2}}.
    OmegaConf.register_new_resolver(
        "paa.by", lambda key, of, _root_: of[choice(key, OmegaConf.select(_root_, key), list(of))]
    )

_DEFAULTS: dict[str, DictConfig] = {}


@dataclass(frozen=True)
class Command:
    """A parsed command line of paa.train.

    overrides   as typed.
    passive     --help, --cfg, --info or shell completion: something is shown, nothing runs.
    checked     of these, the overrides must be right: all but shell completion.
    """

    overrides: tuple[str, ...]
    multirun: bool
    config_dir: str | None
    passive: bool
    checked: bool


def parse(argv: Sequence[str]) -> Command:
    """Parse a command line as Hydra does; ConfigError for flags that name another primary configuration."""
    args, unknown = get_args_parser().parse_known_intermixed_args(list(argv))
    if unknown:
        raise ConfigError(f"{unknown[0]}: no such flag; a key is set without dashes: {unknown[0].lstrip('-')}")
    for flag in ("config_name", "config_path", "experimental_rerun"):
        if getattr(args, flag) is not None:
            name = flag.replace("_", "-")
            raise ConfigError(f"--{name}: not supported; --config-dir DIR adds groups and choices of your own")
    shown = bool(args.help or args.hydra_help or args.cfg or args.info)
    completes = bool(args.shell_completion)
    overrides = tuple(quoted(text) for text in args.overrides)
    return Command(overrides, bool(args.multirun), args.config_dir, shown or completes, shown)


def quoted(override: str) -> str:
    """Quote a value that is a path with letters beyond ASCII or a ~, which Hydra's grammar wants in quotes.

    ConfigError for bytes that are no text: what a run writes (its record, its logs) is UTF-8.
    """
    key, sign, value = override.partition("=")
    if any("\udc80" <= letter <= "\udcff" for letter in override):
        shown = os.fsencode(value).decode("utf-8", "backslashreplace")
        raise ConfigError(f"{key}={shown}: is not UTF-8; must be a path in UTF-8, e.g. a link to this one")
    plain = value.isascii() and not value.startswith("~")
    return override if plain or re.search(r"['\"\\\[\]{}(),=]", value) or not sign else f"{key}='{value}'"


@dataclass(frozen=True)
class JobConfig:
    """The configuration of one job, in plain values and resolved, without Hydra's own node.

    overrides  as Hydra's sweeper splits them, without those of Hydra's own configuration.
    choices    {group: choice}, without Hydra's groups.
    """

    overrides: tuple[str, ...]
    config: dict[str, Any]
    choices: dict[str, str]


@dataclass(frozen=True)
class _Composed:
    job: JobConfig
    hydra: DictConfig

    @classmethod
    def of(cls, overrides: Sequence[str], cfg: DictConfig) -> _Composed:
        job = JobConfig(tuple(overrides), resolved(cfg), choices_of(cfg.hydra.runtime.choices))
        return cls(job, cfg.hydra)


class Composer:
    """Composes configurations from conf/, experiments/ and a folder of the user's (--config-dir).

    hydra  overrides of Hydra's own configuration, the same for all jobs.
    """

    def __init__(self, config_dir: str | None = None, hydra: Sequence[str] = ()) -> None:
        user_dir = Path(config_dir).resolve() if config_dir else None
        if user_dir is not None and not user_dir.is_dir():
            raise ConfigError(f"--config-dir {config_dir}: no such folder")
        self.loader = config_loader(user_dir)
        self._hydra = list(hydra)
        self._parser = OverridesParser.create(config_loader=self.loader)
        self._parsed: dict[str, Override] = {}
        self._jobs: dict[tuple[str, ...], _Composed] = {}

    def jobs(self, overrides: Sequence[str], multirun: bool) -> list[list[str]]:
        """Split a command line's overrides into those of each job."""
        parsed = self.parse(overrides)
        if not multirun:
            for override in parsed:
                if override.is_sweep_override():
                    raise ConfigError(f"{override.input_line}: several values are a sweep; add -m")
            return [list(overrides)]
        try:
            return grid(parsed)
        except HydraException as error:
            raise ConfigError(str(error)) from error

    def split(self, overrides: Sequence[str]) -> tuple[list[str], list[str]]:
        """Split overrides into those of Hydra's own configuration (hydra/launcher=slurm) and the others, in order."""
        parsed = self.parse(overrides)
        hydra = [text for text, one in zip(overrides, parsed, strict=True) if is_hydras(one.key_or_group)]
        return hydra, [text for text in overrides if text not in hydra]

    def load(self, overrides: Sequence[str], mode: RunMode = RunMode.RUN) -> DictConfig:
        """Compose a configuration with Hydra's own node; ConfigError says which key or choice is wrong.

        With RunMode.MULTIRUN it is that of a whole sweep, which sweeper and launcher are configured by.
        """
        overrides = [*self._hydra, *overrides]
        if mode is RunMode.RUN:
            self.refuse(self.parse(overrides))
        try:
            cfg = self.loader.load_configuration("config", overrides, mode)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(self._explain(overrides, error)) from error
        if mode is RunMode.RUN:
            problem = explain_unknown_key(cfg, self._default())
            if problem:
                raise ConfigError(problem)
        return cfg

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Compose one configuration, with its references and without Hydra's own node. Raises as `load`."""
        return _without_hydra(self.load(overrides))

    def job(self, overrides: Sequence[str]) -> JobConfig:
        """Compose one job, once, as plain values. Raises as `load` and `resolved`."""
        return self._composed(overrides).job

    def launched(self, overrides: Sequence[str]) -> DictConfig:
        """Return the configuration of a job as launchers take it: resolved, with Hydra's own node."""
        found = self._composed(overrides)
        cfg = OmegaConf.create(found.job.config)
        cfg.hydra = copy.deepcopy(found.hydra)
        cfg.hydra.overrides.task = list(overrides)
        cfg.hydra.job.override_dirname = override_dirname(self.parse(overrides), cfg.hydra.job.config.override_dirname)
        return cfg

    def _composed(self, overrides: Sequence[str]) -> _Composed:
        """Compose a job. Jobs that differ only in their seed share a composition, unless a key refers to the seed."""
        key = tuple(overrides)
        if key not in self._jobs:
            seeds = [one for one in self.parse(key) if one.input_line == f"seed={one.value()}"]
            shared = len(seeds) == 1 and isinstance(seeds[0].value(), int)
            found = self._seeded(key, seeds[0].value()) if shared else None
            self._jobs[key] = found or _Composed.of(key, self.load(key))
        return self._jobs[key]

    def _seeded(self, overrides: tuple[str, ...], seed: Any) -> _Composed | None:
        rest = tuple(text for text in overrides if text != f"seed={seed}")
        shared = (*rest, "seed=")
        if shared not in self._jobs:
            cfg = self.load(rest)
            unresolved = cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=False))
            if re.search(r"\$\{[^}]*seed", str({**unresolved, "hydra": None})):
                return None
            self._jobs[shared] = _Composed.of(rest, cfg)
        found = self._jobs[shared]
        job = replace(found.job, overrides=overrides, config={**found.job.config, "seed": seed})
        return replace(found, job=job)

    def _default(self) -> DictConfig:
        """Compose the configuration without overrides, once in a process for each search path."""
        path = str(self.loader.get_search_path())
        if path not in _DEFAULTS:
            _DEFAULTS[path] = self._select([])
        return _DEFAULTS[path]

    def _select(self, overrides: Sequence[str]) -> DictConfig:
        return _without_hydra(self.loader.load_configuration("config", list(overrides), RunMode.RUN))

    def group(self, group: str, choice: str) -> DictConfig:
        """The node that one choice of a group composes to, within an otherwise default configuration."""
        node = OmegaConf.select(self.compose([f"{group}={choice}"]), group)
        assert isinstance(node, DictConfig)
        return node

    def is_group(self, key: str) -> bool:
        """Whether `key` names a config group."""
        return bool(self.options(key))

    def options(self, group: str) -> list[str]:
        """The choices of a group."""
        return list(self.loader.get_group_options(group))

    def groups(self) -> list[str]:
        """The groups of paa, without Hydra's."""
        return sorted(g for g in self.loader.list_groups("") if g != "hydra")

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
                raise ConfigError(f"{override.input_line}: deleting keys is not supported; set {key}=VALUE")
            if not isinstance(override.value(), str | list) and self.is_group(key):
                raise ConfigError(explain_choice(key, override.value(), self.options(key)))
            if isinstance(override.value(), list) and self.is_group(key):
                raise ConfigError(f"{override.input_line}: one choice, not a list; -m {key}=a,b is a sweep over two")

    def _explain(self, overrides: Sequence[str], error: Exception) -> str:
        parsed, groups = self.parse(overrides), self.groups()
        choices = [o for o in parsed if self.is_group(o.key_or_group) and not o.is_sweep_override()]
        for override in choices:
            problem = explain_choice(override.key_or_group, override.value(), self.options(override.key_or_group))
            if problem:
                return problem
        try:
            cfg = self._select([o.input_line or "" for o in choices])
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
                cfg = self._select(rest)
            except (HydraException, OmegaConfBaseException):
                continue
            if "." in key and OmegaConf.select(cfg, key) is None:
                parent = key.split(".")[0]
                chosen = next((o.value() for o in choices if o.key_or_group == parent), "the chosen one")
                owners = [
                    option
                    for option in self.options(parent)
                    if OmegaConf.select(self._select([f"{parent}={option}"]), key) is not None
                ]
                return (
                    f"{key}={override.value()}: {parent}={chosen} has no {key}; it belongs to {parent}={listed(owners)}"
                )
        return None


def _without_hydra(cfg: DictConfig) -> DictConfig:
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain values, without Hydra's own node; ConfigError for a missing value or a broken
    reference.
    """
    try:
        names = [str(name) for name in cfg if name != "hydra"]
        own = OmegaConf.masked_copy(cfg, names)
        missing = sorted(_missing(OmegaConf.to_container(own, resolve=False), ""))
        if missing:
            raise ConfigError(f"{missing[0]} is missing: add {missing[0]}=VALUE to the command")
        return cast("dict[str, Any]", OmegaConf.to_container(own, resolve=True))
    except OmegaConfBaseException as error:
        text = str(error).splitlines()[0]
        refused = text.partition(f"{OutOfRange.__name__} raised while resolving interpolation: ")[2]  # by a resolver
        variable = re.search(r"Environment variable '(.+)' not found", text)
        if variable:  # the error names a key that refers to the one with the variable
            unresolved = keys.flatten(cast("dict[str, Any]", OmegaConf.to_container(own, resolve=False)))
            key = next(key for key, value in unresolved.items() if f"oc.env:{variable[1]}" in str(value))
            hint = f"set it, or say what to use instead: {key}=${{oc.env:{variable[1]},VALUE}}"
            raise ConfigError(f"{key}: {variable[0]}; {hint}") from error
        raise ConfigError(refused or f"{error.full_key}: {text}") from error


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
