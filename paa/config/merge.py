"""Merge test-time overrides into the recorded configuration of a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from paa.config.compose import Composer, resolved
from paa.config.errors import ConfigError
from paa.config.suggestions import check_choice, check_override, listed, unresolved

OPEN = ("postprocess", "images.test", "evaluate", "data.root", "data.split", "device", "threads", "workers", "lock")
"""The keys that may change after training: every other key made the weights what they are."""


def split_keys(overrides: Sequence[Override], names: Sequence[str]) -> tuple[dict[str, Any], list[Override]]:
    """Split a command's own keys (`run`, `runs_dir`, ...) from overrides of a run's configuration."""
    own = {o.key_or_group: o.value() for o in overrides if o.key_or_group in names}
    return own, [o for o in overrides if o.key_or_group not in names]


def merge(config: Mapping[str, Any], overrides: Sequence[Override], composer: Composer) -> dict[str, Any]:
    """Return a recorded configuration with overrides merged into it, never with today's defaults.

    ConfigError for a key that made the weights what they are, an unknown key, or an unknown choice.
    """
    cfg = OmegaConf.create(dict(config))
    assert isinstance(cfg, DictConfig)
    for override in sorted(overrides, key=lambda o: not composer.is_group(o.key_or_group)):  # choices, then their keys
        key, value = override.key_or_group, override.value()
        if override.is_add() or override.is_delete() or override.is_force_add():
            raise ConfigError(f"{override.input_line}: a finished run takes only key=value")
        if not any(key == name or key.startswith(f"{name}.") for name in OPEN):
            raise ConfigError(f"{key}: cannot change after training; what can: {listed(OPEN)}")
        is_group = composer.is_group(key)
        if key == "data.split":  # evaluate.splits follows it in conf/; here it is resolved
            OmegaConf.update(cfg, "evaluate.splits", [value], merge=False)
        if is_group:
            check_choice(key, value, composer.options(key))
        else:
            check_override(override, unresolved(cfg), [])
        OmegaConf.update(cfg, key, composer.group(key, str(value)) if is_group else value, merge=False)
    return resolved(cfg)
