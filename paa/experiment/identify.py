"""Name an experiment: content digests of what it reads, its run ID and folder, and the evaluations it asks for.

Nothing here builds a network or imports torch, unless a file of weights has to be read: `python -m paa.runs` must
answer quickly.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from paa.config.errors import ConfigError, keys_below
from paa.config.instantiate import build
from paa.datasets.formats.sources import Coco, Custom, Shapes, Voc
from paa.detector.conventions import resnet_defaults
from paa.experiment.init_weights import InitWeights
from paa.experiment.memo import Memo
from paa.store.identity import eval_id, file_digest, train_id
from paa.store.paths import RunPaths
from paa.store.settings import check_settings

Source = Shapes | Custom | Coco | Voc


@dataclass(frozen=True)
class Wanted:
    """One evaluation: a split, with voting or without, and its ID."""

    split: str
    voting: bool
    eval_id: str


@dataclass(frozen=True)
class Identity:
    """What follows from a configuration.

    config   the configuration, with what its backbone decided from its weights.
    digests  of contents: "data.train", "backbone.weights", ...
    paths    the files of the run.
    """

    config: Mapping[str, Any]
    digests: dict[str, str]
    paths: RunPaths

    @property
    def train_id(self) -> str:
        """ID of the training; experiments that differ only at test time share it."""
        return self.paths.train_id

    @property
    def evaluations(self) -> list[Wanted]:
        """The evaluations that are asked for."""
        return [
            Wanted(split, voting, eval_id(self.config, self.digests, split, voting))
            for split in dict.fromkeys(self.config["evaluate"]["splits"])
            for voting in votings(self.config)
        ]


def identify(config: Mapping[str, Any], memo: Memo | None = None, known: Mapping[str, str] | None = None) -> Identity:
    """Name the training of `config`. Reads annotations (or their cached digests) and local weights, nothing else.

    memo   what the jobs of one command line read only once.
    known  digests that need not be computed ("data.train").
    """
    with keys_below(""):
        check_settings(config)
    memo, digests, config = memo or Memo(), dict[str, str](), resolve_backbone(config)
    for split in dict.fromkeys(["train", *config["evaluate"]["splits"]]):
        given, data = (known or {}).get(f"data.{split}"), source(config, memo)
        key = [*data_key(config), split]
        digests[f"data.{split}"] = given or memo("digest", key, partial(data.digest, split))
    weights = config["backbone"].get("weights")
    if weights == "package":
        from paa.detector.efficientnet import package_file

        with keys_below("backbone."):
            digests["backbone.weights"] = memo("file", weights, lambda: file_digest(package_file()))
    elif weights is not None and weights != "torchvision":
        if not isinstance(weights, str) or not Path(weights).is_file():
            raise ConfigError(f"backbone.weights={weights}: must be null, torchvision or the path of a file")
        digests["backbone.weights"] = memo("file", weights, lambda: file_digest(Path(weights)))
    init = InitWeights.of(config)
    if init is not None:
        digests["finetune.from"] = memo("finetune", str(init.path), init.digest)
    return Identity(config, digests, RunPaths(Path(config["runs_dir"]), train_id(config, digests)))


def resolve_backbone(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `config` with the keys that the backbone decides from its weights, so that the run ID contains them."""
    node, found = config["backbone"], dict[str, Any]()
    if node["_target_"] == "paa.detector.ResNet":
        known = inspect.signature(resnet_defaults).parameters
        with keys_below("backbone."):
            found = resnet_defaults(_stated(node), **{key: node[key] for key in known if key in node})
    elif node["_target_"] not in ("paa.detector.Tiny", "paa.detector.EfficientNetLite0"):
        import torch

        with torch.device("meta"):
            found = getattr(build(node, "backbone"), "resolved_defaults", {})
    return {**config, "backbone": {**node, **{key: value for key, value in found.items() if key in node}}}


def _stated(node: Mapping[str, Any]) -> str | None:
    """Return the input convention that the file of the weights states, if there is a file and it does."""
    weights = node.get("weights")
    if not isinstance(weights, str) or not Path(weights).is_file():
        return None
    from paa.detector.weights import stated_convention

    return stated_convention(weights)


def source(config: Mapping[str, Any], memo: Memo) -> Source:
    """Return the data of a configuration, which are not read yet."""
    offers = {"cache_dir": Path(config["runs_dir"]) / ".cache"}
    found: Source = memo("source", data_key(config), lambda: build(config["data"], "data", offers))
    return found


def data_key(config: Mapping[str, Any]) -> list[Any]:
    """Return what distinguishes the data of one configuration from those of another, while no file changes."""
    return [config["data"], config["runs_dir"]]


def votings(config: Mapping[str, Any]) -> list[bool]:
    """Return the evaluations that `postprocess.voting` asks for: without voting, with it, or both."""
    value = config["postprocess"]["voting"]
    if value == "both":
        return [False, True]
    if not isinstance(value, bool):
        raise ConfigError(f"postprocess.voting={value}: must be true, false or both")
    return [value]


def missing(paths: RunPaths, every: Sequence[Wanted]) -> list[Wanted]:
    """Return those without a record."""
    return [one for one in every if not paths.evaluation(one.eval_id).exists()]
