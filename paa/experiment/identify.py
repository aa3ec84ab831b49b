"""Name an experiment: content digests of what it reads, its run ID, and the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from paa.config.errors import ConfigError, keys_below
from paa.detector.efficientnet import package_file
from paa.experiment.init_weights import InitWeights
from paa.experiment.memo import Memo
from paa.experiment.parts import Components
from paa.store.identity import file_digest, train_id
from paa.store.paths import RunPaths


@dataclass(frozen=True)
class Identity:
    """Content digests ("data.train", "backbone.weights", ...), the run ID that follows from them, the run's paths."""

    digests: dict[str, str]
    train_id: str
    paths: RunPaths


def identify(parts: Components, memo: Memo | None = None, known: Mapping[str, str] | None = None) -> Identity:
    """Name the training of `parts`. Reads annotations (or their cached digests) and local weights, nothing else.

    memo   what the jobs of one command line read only once.
    known  digests that need not be computed ("data.train").
    """
    config, memo, digests = parts.config, memo or Memo(), dict[str, str]()
    for split in dict.fromkeys(["train", *config["evaluate"]["splits"]]):
        compute = partial(memo, "digest", [*data_key(config), split], partial(parts.source.digest, split))
        digests[f"data.{split}"] = (known or {}).get(f"data.{split}") or compute()
    weights = config["backbone"].get("weights")
    if weights == "package":
        with keys_below("backbone."):
            digests["backbone.weights"] = memo("file", weights, lambda: file_digest(package_file()))
    elif weights is not None and weights != "torchvision":
        if not isinstance(weights, str) or not Path(weights).is_file():
            raise ConfigError(f"backbone.weights={weights}: must be null, torchvision or the path of a file")
        digests["backbone.weights"] = memo("file", weights, lambda: file_digest(Path(weights)))
    init = InitWeights.of(config)
    if init is not None:
        digests["finetune.from"] = memo("finetune", str(init.path), init.digest)
    name = train_id(config, digests)
    return Identity(digests, name, RunPaths(Path(config["runs_dir"]), name))


def data_key(config: Mapping[str, Any]) -> list[Any]:
    """Return what distinguishes the data of one configuration from those of another, while no file changes."""
    return [config["data"], config["runs_dir"]]
