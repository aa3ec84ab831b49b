"""The components of an experiment, built from its configuration before any data or network is touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from paa import checks
from paa.anchors import AnchorGrid
from paa.assign import Assigner
from paa.assign.contract import BoundaryError, check_boundary
from paa.auxiliary import Auxiliary
from paa.boxes import BoxCoder
from paa.config.errors import ConfigError, keys_below
from paa.config.instantiate import build
from paa.config.user_code import OwnCodeError, place_of
from paa.criterion import Criterion
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.sampler import TrainSampler
from paa.datasets.transforms import Transform
from paa.detector import Detector
from paa.engine.compiling import compiled
from paa.engine.core import TrainingCore
from paa.engine.distributed import SINGLE_PROCESS, ProcessGroup
from paa.engine.loop import LoopSettings
from paa.engine.precision import Precision
from paa.engine.schedule import Schedule
from paa.experiment.identify import Source, resolve_backbone, source, votings
from paa.experiment.memo import Memo
from paa.multiscale import MultiScale
from paa.postprocess import PostProcess
from paa.store.settings import check_settings
from paa.tracking import Files


@dataclass(frozen=True)
class Components:
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

    def index(self, split: str) -> CocoIndex:
        """Return the annotations of a split, or those of the first debug.images images."""
        index, limit = self.source.index(split), self.config["debug"]["images"]
        return index if limit is None else index.subset(np.arange(min(limit, len(index))))

    def sampler(self, index: CocoIndex, chosen: np.ndarray) -> TrainSampler:
        """Return which of the `chosen` images [I] of the training split make up which step."""
        node, seed = self.config["train"], self.config["seed"]
        sizes = (index.heights, index.widths)
        return TrainSampler(*sizes, node["batch_size"], seed, aspect_grouping=node["aspect_grouping"], images=chosen)

    def scale_transforms(self, backbone: nn.Module) -> list[Transform]:
        """Return the transforms of a multi-scale test, the single-scale one first; only that one without `scales`."""
        images, every = self.config["images"], [self.test_transform(backbone)]
        for short, longest in self.scales.sizes if self.scales else ():
            node = {**images["test"], "short": short, "longest": longest}
            every.append(_transform({**images, "test": node}, "test", backbone))
        return every

    def detector(self, classes: int, load_weights: bool = True) -> Detector:
        """Build the network for so many classes, on the CPU, with the initial weights that the seed gives.

        load_weights  False leaves out the backbone's pretrained weights: others will replace them.
        """
        torch.manual_seed(self.config["seed"])
        node = self.config["detector"]
        try:
            backbone = build(self.config["backbone"], "backbone", {"load_weights": load_weights})
            fpn = build(node["fpn"], "detector.fpn", in_channels=backbone.out_channels)
            head = build(node["head"], "detector.head", classes=classes, auxiliary=self.auxiliary.has_head)
            detector = Detector(backbone, fpn, head, self.config["channels_last"])
        except (ValueError, OSError) as error:
            raise ConfigError(f"backbone, detector: {error}") from error
        if head.channels != fpn.channels:
            raise ConfigError(f"detector.head.channels={head.channels}: must be detector.fpn.channels={fpn.channels}")
        if tuple(self.grid.strides) != tuple(fpn.strides):
            raise ConfigError(f"anchors.strides={list(self.grid.strides)}: must be the pyramid's {list(fpn.strides)}")
        return detector

    @property
    def network(self) -> list[Any]:
        """Return the values that the network is built from, except the number of classes and the seed."""
        nodes = [self.config[name] for name in ("backbone", "detector", "channels_last")]
        return [*nodes, self.auxiliary.has_head, list(self.grid.strides)]

    def core(
        self, detector: nn.Module, precision: Precision | None = None, group: ProcessGroup = SINGLE_PROCESS
    ) -> TrainingCore:
        """Join detector, anchors, assigner and criterion for training; CannotCompile."""
        network = compiled(detector, next(detector.parameters()).device) if self.config["compile"] else None
        accumulate = self.config["train"]["accumulate"]
        return TrainingCore(
            detector, self.grid, self.assigner, self.criterion, accumulate, precision or Precision(), group, network
        )


def assemble(config: Mapping[str, Any], memo: Memo | None = None) -> Components:
    """Build every cheap object; ConfigError names the key whose value is wrong, and what would be right.

    memo  builds what several jobs of a command line have in common once.
    """
    with keys_below(""):
        check_settings(config)
    memo = memo or Memo()
    coder = build(config["coder"], "coder")
    auxiliary = build(config["auxiliary"], "auxiliary")
    offers = {"coder": coder, "auxiliary": auxiliary}
    criterion = build(config["criterion"], "criterion", offers)  # before the assigner, which reads keys of it
    images = config["images"]
    postprocess = dict(config["postprocess"])
    scales = postprocess.pop("multiscale")
    with keys_below("tracking."):  # log_every: the other fields were checked with their nodes
        loop = LoopSettings(
            evaluate_every=config["evaluate"]["every"],
            log_every=config["tracking"]["log_every"],
            checkpoint_every=config["checkpoint"]["every"],
            checkpoint_every_s=config["checkpoint"]["every_s"],
            clip_norm=config["train"]["clip_norm"],
        )
    parts = Components(
        config=config,
        source=source(config, memo),
        grid=build(config["anchors"], "anchors"),
        coder=coder,
        assigner=build(config["assign"], "assign", offers),
        auxiliary=auxiliary,
        criterion=criterion,
        postprocess=build(postprocess, "postprocess", offers, voting=votings(config)[-1]),
        scales=build(scales, "postprocess.multiscale") if scales else None,
        optim=build(config["optim"], "optim"),
        schedule=build(config["schedule"], "schedule"),
        loop=loop,
        tracking=build(config["tracking"], "tracking"),
        train_transform=lambda backbone: _transform(images, "train", backbone),
        test_transform=lambda backbone: _transform(images, "test", backbone),
    )
    _try_boundary(parts.assigner)
    if parts.postprocess.nms == "iou_guided" and not parts.auxiliary.predicts_iou:
        raise ConfigError("postprocess.nms=iou_guided: the detector must predict IoUs; use auxiliary=iou")
    for split in config["evaluate"]["splits"]:
        if split not in parts.source.names:  # if it is known but missing, the source says which file
            raise ConfigError(f"evaluate.splits=[{split}]: must be of {', '.join(parts.source.splits)}")
    with keys_below("tracking.images."):
        parts.tracking.images.within(parts.schedule.steps)
    for phase in ("train", "test"):
        _transform(images, phase, None)
    with torch.device("meta"):  # checks the network's keys without holding any data
        memo("network", parts.network, lambda: parts.detector(1))
    return replace(parts, config=resolve_backbone(config))


def _transform(images: Mapping[str, Any], phase: str, backbone: nn.Module | None) -> Transform:
    common = {name: images[name] for name in ("resize", "interpolation", "legacy")}
    node = images[phase]
    own = {"short": node["short"], "longest": node["longest"], "flip": node.get("flip", 0.0)}
    if backbone is not None:
        own |= {"mean": backbone.mean, "std": backbone.std, "scale": backbone.scale, "channels": backbone.order}
    try:
        return Transform(**common, **own)
    except checks.OutOfRange as error:
        where = "images" if error.name in common else f"images.{phase}"
        raise ConfigError(f"{where}.{error.name}{error.problem}") from error


def _try_boundary(assigner: Assigner) -> None:
    """Try the boundary of an assigner on small tensors if it is user code; ConfigError says what is wrong with it."""
    boundary = getattr(assigner, "boundary", None)
    if boundary is None or not place_of(type(boundary)):
        return
    try:
        check_boundary(boundary, every_gt_positive=False)
    except BoundaryError as error:
        what = f"assign.boundary: {error}"
        raised = OwnCodeError.of(error.__cause__, what) if error.__cause__ else None
        raise raised or ConfigError(f"{what}{place_of(type(boundary))}") from error
