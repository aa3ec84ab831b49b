"""What a job runs, in plain types: its configuration with every path made absolute."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paa.store import keys

_FOLDERS = ("runs_dir", "data.root")
_FILES = ("backbone.weights", "finetune.from")  # which may also be a word or a run's id


def content(
    config: Mapping[str, Any], overrides: list[str], choices: Mapping[str, str], train_id: str
) -> dict[str, Any]:
    """{config, overrides, choices, train_id} of a job, which mean the same in any folder."""
    return {
        "config": absolute(config),
        "overrides": list(overrides),
        "choices": dict(choices),
        "train_id": train_id,
    }


def absolute(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with its paths absolute; a name that is no path stays as it is."""
    found = dict(config)
    for key in (*_FOLDERS, *_FILES):
        value = keys.get(found, key)
        if isinstance(value, str) and (key in _FOLDERS or Path(value).expanduser().exists()):
            found = keys.put(found, key, str(Path(value).expanduser().absolute()))
    return found
