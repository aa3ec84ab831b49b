"""The cheap parts of an experiment, built from its configuration before any data or network is touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from paa import checks
from paa.anchors import AnchorGrid
from paa.assign import Assigner
from paa.auxiliary import Auxiliary
from paa.boxes import BoxCoder
from paa.config.errors import ConfigError
from paa.config.instantiate import build
from paa.config.user_code import try_boundary
from paa.criterion import Criterion
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.formats.sources import Coco, Custom, Shapes, Voc
from paa.datasets.sampler import ASPECT_GROUPINGS, TrainSampler
from paa.datasets.targets import DEGENERATE_BOXES, EMPTY_IMAGES, RULES
from paa.datasets.transforms import Transform
from paa.detector import Detector
from paa.engine.compiling import CannotCompile, compiled
from paa.engine.core import TrainingCore
from paa.engine.distributed import SINGLE_PROCESS, ProcessGroup, process_group
from paa.engine.loop import LoopSettings
from paa.engine.memory import keep_freed_memory
from paa.engine.precision import PRECISIONS, Precision
from paa.engine.schedule import Schedule
from paa.experiment.memo import Shared
from paa.multiscale import MultiScale
from paa.postprocess import PostProcess
from paa.tracking import Files

_OWN_THREADS = torch.get_num_threads()

Source = Shapes | Custom | Coco | Voc


@dataclass(frozen=True)
class Parts:
    """What `assemble` builds; `detector(classes)` builds the rest. `config` is plain and resolved."""

    config: Mapping[str, Any]
    source: Source
    grid: AnchorGrid
    coder: BoxCoder
    assigner: Assigner
    auxiliary: Auxiliary
    criterion: Criterion
    postprocess: PostProcess
    scales: MultiScale | None
    optim: Any
    schedule: Schedule
    loop: LoopSettings
    tracking: Files
    train_transform: Callable[[nn.Module], Transform]
    test_transform: Callable[[nn.Module], Transform]

    def sampler(self, index: CocoIndex, chosen: np.ndarray) -> TrainSampler:
        """Which of the `chosen` images [I] of the training split make up which step."""
        node = self.config["train"]
        groups = node["aspect_grouping"]  # older runs have no such key
        sizes = (index.heights, index.widths)
        return TrainSampler(*sizes, node["batch_size"], self.config["seed"], aspect_grouping=groups, images=chosen)

    def scale_transforms(self, backbone: nn.Module) -> list[Transform]:
        """The transforms of a multi-scale test, the plain one first; that one alone where there is none."""
        images, every = self.config["images"], [self.test_transform(backbone)]
        for short, longest in self.scales.sizes if self.scales else ():
            node = {**images["test"], "short": short, "longest": longest}
            every.append(_transform({**images, "test": node}, "test", backbone))
        return every

    def detector(self, classes: int, load_weights: bool = True) -> Detector:
        """The network for so many classes, on the CPU, with the initial weights that the seed gives.

        load_weights  False leaves out the backbone's pretrained weights: others will take the place of all.
        """
        torch.manual_seed(self.config["seed"])
        node = self.config["detector"]
        try:
            backbone = build(self.config["backbone"], "backbone", {"load_weights": load_weights})
            fpn = build(node["fpn"], "detector.fpn", in_channels=backbone.out_channels)
            head = build(node["head"], "detector.head", classes=classes, auxiliary=self.auxiliary.has_head)
            # Runs that are older than the key had what is its default now.
            detector = Detector(backbone, fpn, head, self.config.get("channels_last", True))
        except (ValueError, OSError) as error:
            raise ConfigError(f"backbone, detector: {error}") from error
        if head.channels != fpn.channels:
            problem = f"detector.head.channels={head.channels}: must be that of the pyramid"
            raise ConfigError(f"{problem}, detector.fpn.channels={fpn.channels}")
        if tuple(self.grid.strides) != tuple(fpn.strides):
            problem = f"anchors.strides={list(self.grid.strides)}: must be those of the pyramid"
            raise ConfigError(f"{problem}, {list(fpn.strides)}")
        return detector

    @property
    def network(self) -> list[Any]:
        """The values that the network is built from, but for the number of classes and the seed."""
        nodes = [self.config.get(name) for name in ("backbone", "detector", "channels_last")]
        return [*nodes, self.auxiliary.has_head, list(self.grid.strides)]

    def core(
        self, detector: nn.Module, precision: Precision | None = None, group: ProcessGroup = SINGLE_PROCESS
    ) -> TrainingCore:
        """Detector, anchors, assigner and criterion, joined for training; ConfigError where it cannot be compiled."""
        network = None
        if self.config.get("compile", False):
            try:
                network = compiled(detector, next(detector.parameters()).device)
            except CannotCompile as error:
                raise ConfigError(str(error)) from error
        accumulate = self.config["train"]["accumulate"]
        return TrainingCore(
            detector, self.grid, self.assigner, self.criterion, accumulate, precision or Precision(), group, network
        )


def assemble(config: Mapping[str, Any], shared: Shared | None = None) -> Parts:
    """Builds every cheap object; ConfigError names the key whose value cannot be, and what can.

    shared  where the parts of equal configurations are built once; those that differ in their seed alone are equal.
    """
    _check_scalars(config)
    rest = {name: node for name, node in config.items() if name != "seed"}
    shared = shared or Shared()
    parts = shared.once("parts", rest, lambda: _assembled(config, shared))
    return replace(parts, config={**parts.config, "seed": config["seed"]})


def _assembled(config: Mapping[str, Any], shared: Shared) -> Parts:
    coder = build(config["coder"], "coder")
    auxiliary = build(config["auxiliary"], "auxiliary")
    offers = {"coder": coder, "auxiliary": auxiliary}
    criterion = build(config["criterion"], "criterion", offers)  # before the assigner, which reads keys of it
    images = config["images"]
    postprocess = dict(config["postprocess"])
    scales = postprocess.pop("multiscale", None)  # runs that are older than the key have none
    parts = Parts(
        config=config,
        source=build(config["data"], "data", {"cache_dir": Path(config["runs_dir"]) / ".cache"}),
        grid=build(config["anchors"], "anchors"),
        coder=coder,
        assigner=build(config["assign"], "assign", offers),
        auxiliary=auxiliary,
        criterion=criterion,
        postprocess=build(postprocess, "postprocess", offers, voting=votings(config)[-1]),
        scales=build(scales, "postprocess.multiscale") if scales else None,
        optim=build(config["optim"], "optim"),
        schedule=build(config["schedule"], "schedule"),
        loop=_loop_settings(config),
        tracking=build({"_target_": "paa.tracking.Files", **config["tracking"]}, "tracking"),  # records may have none
        train_transform=lambda backbone: _transform(images, "train", backbone),
        test_transform=lambda backbone: _transform(images, "test", backbone),
    )
    try_boundary(parts.assigner)
    _check_splits(config, parts.source)
    try:
        parts.tracking.images.within(parts.schedule.steps)
    except checks.OutOfRange as error:
        raise ConfigError(f"tracking.images.{error}") from error
    for phase in ("train", "test"):
        _transform(images, phase, None)
    found = shared.once("settled", parts.network, lambda: _settled(parts))
    node = {**config["backbone"], **{key: value for key, value in found.items() if key in config["backbone"]}}
    return replace(parts, config={**config, "backbone": node})


def _settled(parts: Parts) -> Mapping[str, Any]:
    """What the backbone made of keys that were left open, so that the identity tells them."""
    with torch.device("meta"):  # checks the network's keys, at no cost: no data is held
        return dict(getattr(parts.detector(1).backbone, "settled", {}))


def votings(config: Mapping[str, Any]) -> list[bool]:
    """Evaluations that `postprocess.voting` asks for: without voting, with it, or both."""
    value = config["postprocess"].get("voting")
    if value == "both":
        return [False, True]
    if not isinstance(value, bool):
        raise ConfigError(f"postprocess.voting={value}: must be true, false or both")
    return [value]


def device_of(config: Mapping[str, Any]) -> torch.device:
    """The device that `device` and the machine give; of several processes each has a GPU of its own."""
    name, group = config["device"], process_group()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    elif name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device=cuda: torch sees no CUDA device here; say device=auto or device=cpu")
    if name == "cpu" or group.size == 1:
        return torch.device(name)
    if group.local_rank >= torch.cuda.device_count():
        there = f"{torch.cuda.device_count()} GPUs for {group.local_rank + 1} processes or more on this machine"
        raise ConfigError(f"device={config['device']}: {there}; start one process a GPU, or say device=cpu")
    return torch.device("cuda", group.local_rank)


def check_processes(config: Mapping[str, Any], group: ProcessGroup) -> None:
    """ConfigError where so many processes cannot share the steps of this training."""
    size, norm = config["train"]["batch_size"], config["backbone"].get("norm")
    if size < group.size:
        least = f"must be an image or more for each of the {group.size} processes"
        raise ConfigError(f"train.batch_size={size}: {least}")
    if group.size > 1 and norm == "batch":
        problem = "its statistics are those of a process's part; take backbone.norm=group, or one process"
        raise ConfigError(f"backbone.norm=batch with {group.size} processes: {problem}")


def check_as_before(parts: Parts, name: str, before: int, now: int) -> None:
    """ConfigError where `before` processes trained run `name`, `now` others would take it up, and that changes numbers.

    It does where each process has normalizers of its own. No id says how many there were.
    """
    if parts.criterion.normalizer_sync == "per_process" and before != now:
        problem = f"{name} is of {_processes(before)}, which matters to its numbers, and not of {now}"
        remedy = f"start {before}, or say another runs_dir or compat.normalizer_sync=global"
        raise ConfigError(f"criterion.normalizer_sync=per_process: {problem}; {remedy}")


def _processes(count: int) -> str:
    return f"{count} processes" if count > 1 else "1 process"


def apply_process(config: Mapping[str, Any]) -> None:
    """What holds for the whole process: torch's CPU threads, memory that a CPU computes in, cuDNN's repeatability."""
    apply_threads(config)
    if device_of(config).type == "cpu":
        keep_freed_memory()


def apply_threads(config: Mapping[str, Any]) -> None:
    """Sets torch's CPU threads, or gives it back its own choice, and has cuDNN compute the same each time."""
    torch.set_num_threads(config["threads"] or _OWN_THREADS)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False


def _loop_settings(config: Mapping[str, Any]) -> LoopSettings:
    names = {
        "evaluate_every": "evaluate.every",
        "log_every": "tracking.log_every",
        "checkpoint_every": "checkpoint.every",
        "checkpoint_every_s": "checkpoint.every_s",
        "clip_norm": "train.clip_norm",
    }
    values = {name: config[key.split(".")[0]][key.split(".")[1]] for name, key in names.items()}
    try:
        return LoopSettings(**values)
    except checks.OutOfRange as error:
        raise ConfigError(f"{names[error.name]}{error.problem}") from error


def _transform(images: Mapping[str, Any], phase: str, backbone: nn.Module | None) -> Transform:
    node = images[phase]
    own = {} if backbone is None else {k: getattr(backbone, k) for k in ("mean", "std", "scale")}
    if backbone is not None:
        own["channels"] = backbone.order
    try:
        return Transform(
            short=node["short"],
            longest=node["longest"],
            resize=images["resize"],
            interpolation=images.get("interpolation"),  # runs that are older than the key have none
            flip=node.get("flip", 0.0),
            legacy=images["legacy"],
            **own,
        )
    except checks.OutOfRange as error:
        where = "images" if error.name in ("resize", "interpolation", "legacy") else f"images.{phase}"
        raise ConfigError(f"{where}.{error.name}{error.problem}") from error


def _check_scalars(config: Mapping[str, Any]) -> None:
    train, images, lock, debug = config["train"], config["images"], config["lock"], config["debug"]
    try:
        checks.integer("seed", config["seed"], low=0, high=2**31 - 1)
        checks.choice("device", config["device"], ("auto", "cpu", "cuda"))
        checks.choice("precision", config.get("precision", "fp32"), PRECISIONS)
        for key in ("channels_last", "compile", "plan"):
            checks.flag(key, config.get(key, False))
        checks.integer("workers", config["workers"], low=0, high=256)
        start = config.get("finetune", {}).get("from")  # runs that are older than the key have no such node
        if start is not None and (not isinstance(start, str) or not start):
            what = "must be null, a finished run's id or the path of a file"
            raise checks.OutOfRange("finetune.from", f"={start}: {what}")
        if config["threads"] is not None:
            checks.integer("threads", config["threads"], low=1, high=1024)
        checks.integer("train.batch_size", train["batch_size"], low=1)
        checks.integer("train.accumulate", train["accumulate"], low=1, high=train["batch_size"])
        checks.choice("compat.x152", config.get("compat", {}).get("x152", "release"), ("release", "common"))
        checks.choice(
            "train.aspect_grouping", train["aspect_grouping"], tuple(ASPECT_GROUPINGS)
        )  # older runs have no such key
        if train["accumulate"] > 1 and config["backbone"].get("norm") == "batch":
            problem = ": its statistics are those of a part; take backbone.norm=group, or train.accumulate=1"
            raise checks.OutOfRange("backbone.norm", f"=batch with train.accumulate={train['accumulate']}{problem}")
        checks.integer("images.test.batch_size", images["test"]["batch_size"], low=1)
        checks.choice("images.empty", images["empty"], EMPTY_IMAGES)
        checks.choice(
            "images.degenerate_boxes", images["degenerate_boxes"], DEGENERATE_BOXES
        )  # older runs have no such key
        checks.choice("images.boxes", images["boxes"], RULES)
        checks.integer("images.min_side", images["min_side"], low=0)
        checks.integer("checkpoint.keep", config["checkpoint"]["keep"], low=1)
        checks.choice("lock.if_locked", lock["if_locked"], ("wait", "skip"))
        checks.number("lock.heartbeat_s", lock["heartbeat_s"], above=0)
        checks.number("lock.stale_s", lock["stale_s"], low=2 * lock["heartbeat_s"])
        for key in ("images", "profile"):
            if debug[key] is not None:
                checks.integer(f"debug.{key}", debug[key], low=1)
        if not isinstance(config["runs_dir"], str) or not Path(config["runs_dir"]).name:
            raise checks.OutOfRange("runs_dir", f"={config['runs_dir']}: must be the path of a folder")
    except checks.OutOfRange as error:
        raise ConfigError(str(error)) from error


def _check_splits(config: Mapping[str, Any], source: Source) -> None:
    node = config["evaluate"]
    if not isinstance(node["splits"], list):
        raise ConfigError(f"evaluate.splits={node['splits']}: must be a list, e.g. evaluate.splits=[val]")
    if config["evaluate"]["every"] and not node["splits"]:
        raise ConfigError("evaluate.splits=[]: evaluate.every needs a split to evaluate on; or say evaluate.every=0")
    for split in node["splits"]:
        if split not in source.names:  # of one that is known but not there, the source says which file is missing
            raise ConfigError(f"evaluate.splits=[{split}]: must be of {', '.join(source.splits)}")
