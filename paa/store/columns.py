"""The columns of a table of runs: what each is, its type, and where in the records it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from paa.evaluation.coco import NUMBERS
from paa.store import keys
from paa.store.record import EvaluationRecord, TrainingRecord

_NAMES = {
    "paa.assign.MaxIoU": "max_iou",
    "paa.assign.boundary.B2020": "b_2020",
    "paa.assign.boundary.C": "paa",
    "paa.auxiliary.NoAuxiliary": "none",
    "paa.auxiliary.IoUPrediction": "iou",
    "paa.detector.EfficientNetLite0": "efficientnet_lite0",
}
"""{class: its name}, where that is not the name of the class in lower case."""


def name_of(node: Any) -> str | None:
    """Name the choice that `node` of a configuration is: "fnp", "resnet50"; the `_target_` of user code in full.

    The name follows from what is built, not from the word on the command line: `c` and `paa` are one boundary, "paa".
    """
    target = node.get("_target_") if isinstance(node, Mapping) else None
    if not target:
        return None
    if target == "paa.detector.ResNet":
        return _resnet(node)
    if not target.startswith("paa."):
        return str(target)
    return _NAMES.get(target) or target.rpartition(".")[2].lower()


def _resnet(node: Mapping[str, Any]) -> str:
    """ "resnet50", "resnext101_64x4d_dcn": by depth, groups and deformable stages, as conf/backbone has them."""
    groups, width = node.get("groups", 1), node.get("width_per_group", 64)
    plain = f"resnet{node.get('depth')}" if groups == 1 else f"resnext{node.get('depth')}_{groups}x{width}d"
    return f"{plain}_dcn" if node.get("dcn_stages") else plain


def own_keys(config: dict[str, Any]) -> str | None:
    """ "assign.boundary.within=0.5, ...": the arguments of classes from outside of the package; None without such."""
    found = []
    for name, value in config.items():
        if isinstance(value, dict):
            foreign = str(value.get("_target_", "paa.")).split(".")[0] != "paa"
            inner = keys.flatten(value) if foreign else {}
            found += [f"{name}.{key}={v}" for key, v in inner.items() if not key.split(".")[-1].startswith("_")]
            deeper = None if foreign else own_keys(value)
            found += [f"{name}.{text}" for text in deeper.split(", ")] if deeper else []
    return ", ".join(found) or None


OF_TRAINING = frozenset(
    {
        *("boundary", "n", "n_end", "t", "over", "own", "topk", "lambda_score"),
        *("batch_size", "lr", "steps", "seed", "wall_s"),
    }
)
"""Columns that tell how a training went: nobody knows them of weights that were converted."""


@dataclass(frozen=True)
class Column:
    """A column. `kind` is str, int, float or bool; `get` takes it from a training and an evaluation of it, or None."""

    name: str
    kind: type
    text: str
    get: Callable[[TrainingRecord, EvaluationRecord | None], Any]

    def value(self, training: TrainingRecord, evaluation: EvaluationRecord | None) -> Any:
        """The value, or None where there is none of that kind: a record may come from anywhere."""
        if training.converted and self.name in OF_TRAINING:
            return None
        value = self.get(training, evaluation)
        if self.kind is float and type(value) is int:
            return float(value)
        return value if type(value) is self.kind else None


def _key(name: str, kind: type, key: str, text: str) -> Column:
    return Column(name, kind, f"{text} ({key})", lambda training, _: keys.get(training.config, key))


def _choice(name: str, key: str, text: str) -> Column:
    return Column(name, str, text, lambda training, _: name_of(keys.get(training.config, key)))


def _training(name: str, kind: type, text: str, field: str | None = None) -> Column:
    return Column(name, kind, text, lambda training, _: getattr(training, field or name))


def _evaluation(name: str, kind: type, text: str, field: str | None = None) -> Column:
    return Column(name, kind, text, lambda _, evaluation: evaluation and getattr(evaluation, field or name))


def _origin(name: str, kind: type, key: str, text: str) -> Column:
    return Column(name, kind, text, lambda training, _: keys.get(training.origin, key))


def _scored(name: str, key: str, text: str) -> Column:
    return Column(name, str, text, lambda _, e: keys.get(e.score or {}, key) if e else None)


def _vote(name: str, kind: type, text: str) -> Column:
    return Column(name, kind, text, lambda _, e: e.postprocess.get(name) if e and e.voting else None)


def _number(name: str) -> Column:
    return Column(name, float, f"COCO {name}, percent", lambda _, e: e and e.numbers.get(name))


COLUMNS: tuple[Column, ...] = (
    _training("train_id", str, "identity of the training"),
    _evaluation("eval_id", str, "identity of the evaluation; missing where a training has none yet"),
    Column("converted", str, "what the weights were converted from; missing for a training", lambda t, _: t.source),
    _key("recipe", str, "recipe.name", "recipe that the training was asked for with"),
    Column("compat", str, "compat preset that it was asked for with", lambda t, _: t.choices.get("compat")),
    _choice("data", "data", "data set"),
    _choice("backbone", "backbone", "backbone"),
    _choice("assigner", "assign", "assigner: paa, max_iou, atss"),
    _choice("boundary", "assign.boundary", "separation boundary of PAA; (c) is paa"),
    _key("n", int, "assign.boundary.n", "positives of each ground truth, fnp"),
    _key("n_end", int, "assign.boundary.n_end", "to which n decays, fnp"),
    _key("t", float, "assign.boundary.t", "least score S, fsr"),
    _key("over", str, "assign.boundary.over", "what t is a threshold over, fsr"),
    Column("own", str, "arguments of classes from outside of the package", lambda t, _: own_keys(t.config)),
    _key("topk", int, "assign.topk", "K, candidates of a ground truth on a level"),
    _key("scale", float, "anchors.scale", "anchor side in strides"),
    _choice("auxiliary", "auxiliary", "auxiliary task: none, centerness, iou"),
    _key("lambda_score", float, "assign.lambda_score", "weight of the localisation loss in the anchor score"),
    _key("legacy", bool, "coder.legacy", "box widths with +1"),
    _key("batch_size", int, "train.batch_size", "images of an optimizer step"),
    _key("lr", float, "optim.lr", "learning rate"),
    _key("weights", str, "backbone.weights", "initial weights of the backbone; missing where it began at random"),
    _training("steps", int, "optimizer steps"),
    _training("seed", int, "seed of the training"),
    _evaluation("split", str, "split that was evaluated"),
    _evaluation("voting", bool, "whether score voting was on"),
    _evaluation("multiscale", bool, "whether it was a multi-scale test"),
    _vote("sigma_t", float, "width of score voting, where it is on"),
    _vote("voting_weight", str, "weight of a vote, where it is on: ps, p x score, or p"),
    *(_number(name) for name in NUMBERS),
    _evaluation("iou_error", float, "mean |predicted - true IoU| of detections true at IoU 0.5"),
    _evaluation("iou_error_positives", float, "mean |predicted - true IoU| of assigned positives"),
    _evaluation("images", int, "images evaluated"),
    _evaluation("detections", int, "detections evaluated"),
    _evaluation("upload", str, "file for the evaluation server, below the run's folder, where AP cannot be measured"),
    _scored("scored_by", "source", "where AP and the others are from, if an evaluation server measured them"),
    _scored("scored_on", "date", "day of that server's answer"),
    _training("wall_s", float, "seconds of training"),
    _evaluation("eval_wall_s", float, "seconds of detection and evaluation", "wall_s"),
    _training("started", float, "Unix time at which the training began"),
    _training("device", str, "cpu or cuda"),
    _training("threads", int, "CPU threads; missing where torch chose"),
    _training("world_size", int, "processes that trained it together"),
    Column("precision", str, "numbers that the network computed in", lambda t, _: t.config.get("precision", "fp32")),
    _origin("host", str, "host", "name of the machine"),
    _origin("cpu", str, "hardware.cpu", "processor"),
    _origin("gpu", str, "hardware.gpu", "GPU"),
    _origin("commit", str, "commit", "commit of the code"),
    _origin("clean", bool, "clean", "whether nothing differed from that commit"),
    _training("weights_sha256", str, "digest of the final weights"),
)
"""All columns, in order."""
