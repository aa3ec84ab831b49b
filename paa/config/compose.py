"""From a command line to the configurations of its jobs, and to Hydra, which runs them.

Each job is composed once, by `Composer.load`, and checked before any of them runs. Then Hydra's sweeper, launcher, job
folders, logging and callbacks do their work: its own and third parties' (hydra/launcher=joblib, submitit_slurm,
hydra/sweeper=optuna) work as they document, since they see nothing but Hydra's interfaces. A launcher that starts other
processes composes the job again there.
"""

from __future__ import annotations

import copy
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import run_job
from hydra.errors import HydraException, OverrideParseException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from paa import checks
from paa.config.errors import ConfigError, keys_below
from paa.config.hydra_internal import (
    BASIC_LAUNCHER,
    Callbacks,
    config_loader,
    get_args_parser,
    get_overrides_dirname,
    grid,
)
from paa.config.paths import HYDRA_VERSION, conf_dir
from paa.config.suggestions import check_keys, explain_failure, is_hydras, quoted, refuse, unresolved
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
        "paa.by", lambda key, of, _root_: of[checks.choice(key, OmegaConf.select(_root_, key), list(of))]
    )

_DEFAULTS: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Command:
    """A parsed command line of paa.train: `overrides` as typed, and whether it only shows something or completes."""

    overrides: tuple[str, ...]
    multirun: bool
    config_dir: str | None
    shows: bool
    completes: bool


def parse(argv: Sequence[str]) -> Command:
    """Parse a command line as Hydra does; ConfigError for flags that name another primary configuration."""
    args, unknown = get_args_parser().parse_known_intermixed_args(list(argv))
    if unknown:
        raise ConfigError(f"{unknown[0]}: no such flag; a key is set without dashes: {unknown[0].lstrip('-')}")
    for flag in ("config_name", "config_path", "experimental_rerun"):
        if getattr(args, flag) is not None:
            name = flag.replace("_", "-")
            raise ConfigError(f"--{name}: not supported; --config-dir DIR adds groups and choices of your own")
    shows = bool(args.help or args.hydra_help or args.cfg or args.info)
    return Command(
        tuple(map(quoted, args.overrides)), bool(args.multirun), args.config_dir, shows, bool(args.shell_completion)
    )


def read(argv: Sequence[str]) -> Command | None:
    """Parse a command line; None where it only shows something or completes a word, which is done.

    A wrong flag or override ends the process with 2.
    """

    @hydra.main(config_path=str(conf_dir()), config_name="config", version_base=HYDRA_VERSION)
    def _nothing(cfg: DictConfig) -> None:
        """Never called: each of these flags only prints."""

    try:
        command = parse(argv)
        if command.shows:
            App(command).jobs()
    except ConfigError as error:
        print(f"paa.train: {error}", file=sys.stderr)
        sys.exit(2)
    if not command.shows and not command.completes:
        return command
    _nothing()
    return None


@dataclass(frozen=True)
class JobConfig:
    """The configuration of one job, in plain values and resolved, without Hydra's own node.

    overrides  as Hydra's sweeper splits them, without those of Hydra's own configuration.
    choices    {group: choice}, without Hydra's groups.
    dry_run    the key `plan`, which is no part of `config`.
    """

    overrides: tuple[str, ...]
    config: dict[str, Any]
    choices: dict[str, str]
    dry_run: bool

    @classmethod
    def of(cls, overrides: Sequence[str], cfg: DictConfig, hydra_node: Any) -> JobConfig:
        """Return the job of a composed configuration; `hydra_node` is Hydra's own. ConfigError as `resolved`."""
        chosen = {group: str(name) for group, name in hydra_node.runtime.choices.items() if name is not None}
        choices = {group: name for group, name in chosen.items() if not is_hydras(group)}
        config = resolved(cfg)
        with keys_below(""):
            dry_run = checks.flag("plan", config.pop("plan", False))
        return cls(tuple(overrides), config, choices, dry_run)

    @classmethod
    def launched(cls, cfg: DictConfig) -> JobConfig:
        """Return the job that Hydra calls its task function for, in whatever process.

        It leaves the folder that Hydra may have changed to: the command's paths are relative to where it was started.
        """
        own = HydraConfig.get()
        os.chdir(own.runtime.cwd)
        return cls.of(list(own.overrides.task), cfg, own)


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
        self._jobs: dict[tuple[str, ...], tuple[JobConfig, DictConfig, bool]] = {}

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
            refuse(self, self.parse(overrides))
        try:
            cfg = self.loader.load_configuration("config", overrides, mode)
        except (HydraException, OmegaConfBaseException) as error:
            explain_failure(self, self.parse(overrides))
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise ConfigError(" ".join(lines[:2])) from error
        if mode is RunMode.RUN:
            check_keys(unresolved(cfg), self._default())
        return cfg

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Compose one configuration, with its references and without Hydra's own node. Raises as `load`."""
        cfg = self.load(overrides)
        with open_dict(cfg):
            del cfg["hydra"]
        return cfg

    def job(self, overrides: Sequence[str]) -> JobConfig:
        """Compose one job, once, as plain values. Raises as `load` and `resolved`."""
        return self._composed(tuple(overrides))[0]

    def launched(self, overrides: Sequence[str]) -> DictConfig:
        """Return the configuration of a job as launchers take it: resolved, with Hydra's own node."""
        job, own, _ = self._composed(tuple(overrides))
        cfg = OmegaConf.create(job.config)
        cfg.hydra = copy.deepcopy(own)
        cfg.hydra.overrides.task = list(overrides)
        settings = cfg.hydra.job.config.override_dirname
        cfg.hydra.job.override_dirname = get_overrides_dirname(self.parse(overrides), **settings)
        return cfg

    def _composed(self, overrides: tuple[str, ...]) -> tuple[JobConfig, DictConfig, bool]:
        """Compose a job; return it, Hydra's own node for it, and whether a key refers to the seed.

        Where none does, jobs that differ only in their seed share a composition.
        """
        if overrides not in self._jobs:
            seeds = [one for one in self.parse(overrides) if one.input_line == f"seed={one.value()}"]
            refers = True
            if len(seeds) == 1 and isinstance(seeds[0].value(), int):
                rest = tuple(text for text in overrides if text != seeds[0].input_line)
                job, own, refers = self._composed(rest)
            if not refers:
                job = replace(job, overrides=overrides, config={**job.config, "seed": seeds[0].value()})
            else:
                cfg = self.load(overrides)
                job, own = JobConfig.of(overrides, cfg, cfg.hydra), cfg.hydra
                refers = re.search(r"\$\{[^}]*seed", str(unresolved(cfg))) is not None
            self._jobs[overrides] = job, own, refers
        return self._jobs[overrides]

    def _default(self) -> dict[str, Any]:
        """Compose the configuration without overrides, once in a process for each search path."""
        path = str(self.loader.get_search_path())
        if path not in _DEFAULTS:
            _DEFAULTS[path] = self.unchecked([])
        return _DEFAULTS[path]

    def unchecked(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Compose one configuration, unresolved, as Hydra does: its errors, no explanations."""
        return unresolved(self.loader.load_configuration("config", list(overrides), RunMode.RUN))

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


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain values, without Hydra's own node; ConfigError for a missing value or a broken
    reference.
    """
    try:
        names = [str(name) for name in cfg if name != "hydra"]
        own = OmegaConf.masked_copy(cfg, names)
        missing = sorted(key for key, value in keys.flatten(unresolved(own)).items() if value == "???")
        if missing:
            raise ConfigError(f"{missing[0]} is missing: add {missing[0]}=VALUE to the command")
        return cast("dict[str, Any]", OmegaConf.to_container(own, resolve=True))
    except OmegaConfBaseException as error:
        text = str(error).splitlines()[0]
        variable = re.search(r"Environment variable '(.+)' not found", text)
        if variable:  # the error names a key that refers to the one with the variable
            every = keys.flatten(unresolved(own)).items()
            key = next(key for key, value in every if f"oc.env:{variable[1]}" in str(value))
            hint = f"set it, or say what to use instead: {key}=${{oc.env:{variable[1]},VALUE}}"
            raise ConfigError(f"{key}: {variable[0]}; {hint}") from error
        by_resolver = f"{checks.OutOfRange.__name__} raised while resolving interpolation: "
        refused = text.partition(by_resolver)[2]
        raise ConfigError(refused or f"{error.full_key}: {text}") from error


GRID_SWEEPER = "hydra_plugins.paa_sweeper.plugin.PaaSweeper"
"""`_target_` of the default sweeper, whose jobs are known before the first one starts."""


class Jobs(Protocol):
    """What runs jobs: Hydra's task function. Launchers pickle it; paa's own sweeper and launchers use all of it."""

    def prepare(self, job: JobConfig) -> Any:
        """Check a job and keep it, before any of its launch runs. ConfigError refuses it."""

    def __call__(self, cfg: DictConfig) -> float | None:
        """Run a job and return its objective."""


class App:
    """One command line of paa.train."""

    def __init__(self, command: Command) -> None:
        self.command = command
        bare = Composer(command.config_dir)
        own, self._task = bare.split(command.overrides)
        self.compose = Composer(command.config_dir, own) if own else bare
        self._master: DictConfig | None = None
        if command.multirun:
            self._master = self.compose.load(self._task, RunMode.MULTIRUN)

    @property
    def launcher(self) -> dict[str, Any]:
        """The `_target_` and settings of hydra/launcher. A single run is not launched, whatever they say."""
        cfg = self.compose.launched(self._task) if self._master is None else self._master
        return cast("dict[str, Any]", OmegaConf.to_container(cfg.hydra.launcher))

    @property
    def in_process(self) -> bool:
        """Whether the jobs run in this process."""
        return self._master is None or self.launcher["_target_"] == BASIC_LAUNCHER

    def jobs(self) -> list[JobConfig]:
        """Compose the jobs that are known before anything runs; none where a third party's sweeper proposes them."""
        if self._master is not None and self._master.hydra.sweeper._target_ != GRID_SWEEPER:
            return []
        return [self.compose.job(overrides) for overrides in self.compose.jobs(self._task, self.command.multirun)]

    def run(self, jobs: Jobs) -> None:
        """Hand the jobs to Hydra. What `jobs` raises in this process reaches Hydra, which knows it as a failure."""

        def config(overrides: Sequence[str]) -> DictConfig:
            jobs.prepare(self.compose.job(overrides))
            cfg = self.compose.launched(overrides)
            if self._master is not None:
                OmegaConf.copy_cache(from_config=self._master, to_config=cfg)  # one time stamp for the whole sweep
            return cfg

        self.compose.loader.job_config = config
        cfg = config(self._task) if self._master is None else self._master
        cfg.hydra.mode = RunMode.RUN if self._master is None else RunMode.MULTIRUN
        callbacks = Callbacks(cfg)
        context = HydraContext(config_loader=self.compose.loader, callbacks=callbacks)
        if self._master is None:
            callbacks.on_run_start(config=cfg, config_name="config")
            done = run_job(jobs, cfg, "hydra.run.dir", None, hydra_context=context)
            callbacks.on_run_end(config=cfg, config_name="config", job_return=done)
        else:
            callbacks.on_multirun_start(config=cfg, config_name="config")
            sweeper = Plugins.instance().instantiate_sweeper(config=cfg, hydra_context=context, task_function=jobs)
            sweeper.sweep(arguments=self._task)
            callbacks.on_multirun_end(config=cfg, config_name="config")
