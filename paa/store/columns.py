"""The columns of a table of runs: what each is, its type, and where in the records it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

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
    flat = keys.flatten(config)
    targets = {key: str(value) for key, value in flat.items() if key.endswith("._target_")}
    nodes = tuple(key.removesuffix("_target_") for key, target in targets.items() if target.split(".")[0] != "paa")
    named = {key: value for key, value in flat.items() if not key.split(".")[-1].startswith("_")}
    return ", ".join(f"{key}={value}" for key, value in named.items() if key.startswith(nodes)) or None


OF_TRAINING = frozenset(
    {
        *("boundary", "n", "n_end", "t", "over", "own", "topk", "lambda_score"),
        *("batch_size", "lr", "steps", "seed", "wall_s"),
    }
)
"""Columns that tell how a training went: nobody knows them of weights that were converted."""


class Column(NamedTuple):
    """A column: its name, its kind (str, int, float or bool), where its value stands, and what it means.

    source  dotted key of a training's record ("config.optim.lr"), or after "evaluation." of an evaluation's. A node of
            the configuration counts by its name.
    """

    name: str
    kind: type
    source: str
    text: str


def values(training: TrainingRecord, evaluation: EvaluationRecord | None) -> dict[str, Any]:
    """Return {column: value}; None if there is no value of the column's kind, as a record may come from anywhere."""
    evaluated = vars(evaluation) | {n: getattr(evaluation, n) for n in ("multiscale", "content")} if evaluation else {}
    vote = evaluation.postprocess if evaluation and evaluation.voting else {}
    own = {"source": training.source, "own": own_keys(training.config)}
    tree = vars(training) | own | {"evaluation": evaluated, "vote": vote}
    return {column.name: _of_kind(column, tree) for column in COLUMNS}


def _of_kind(column: Column, tree: Mapping[str, Any]) -> Any:
    value = None if tree["converted"] and column.name in OF_TRAINING else keys.get(tree, column.source)
    if isinstance(value, Mapping):
        value = name_of(value)
    if column.kind is float and type(value) is int:
        return float(value)
    return value if type(value) is column.kind else None


COLUMNS = (
    Column("train_id", str, "train_id", "identity of the training"),
    Column("eval_id", str, "evaluation.eval_id", "identity of the evaluation; missing where a training has none yet"),
    Column("converted", str, "source", "what the weights were converted from; missing for a training"),
    Column("recipe", str, "config.recipe.name", "recipe that the training was asked for with"),
    Column("compat", str, "choices.compat", "compat preset that it was asked for with"),
    Column("data", str, "config.data", "data set"),
    Column("backbone", str, "config.backbone", "backbone"),
    Column("assigner", str, "config.assign", "assigner: paa, max_iou, atss"),
    Column("boundary", str, "config.assign.boundary", "separation boundary of PAA; (c) is paa"),
    Column("n", int, "config.assign.boundary.n", "positives of each ground truth, fnp"),
    Column("n_end", int, "config.assign.boundary.n_end", "to which n decays, fnp"),
    Column("t", float, "config.assign.boundary.t", "least score S, fsr"),
    Column("over", str, "config.assign.boundary.over", "what t is a threshold over, fsr"),
    Column("own", str, "own", "arguments of classes from outside of the package"),
    Column("topk", int, "config.assign.topk", "K, candidates of a ground truth on a level"),
    Column("scale", float, "config.anchors.scale", "anchor side in strides"),
    Column("auxiliary", str, "config.auxiliary", "auxiliary task: none, centerness, iou"),
    Column("lambda_score", float, "config.assign.lambda_score", "weight of the localization loss in the anchor score"),
    Column("legacy", bool, "config.coder.legacy", "box widths with +1"),
    Column("batch_size", int, "config.train.batch_size", "images of an optimizer step"),
    Column("lr", float, "config.optim.lr", "learning rate"),
    Column("weights", str, "config.backbone.weights", "initial weights of the backbone; missing if random"),
    Column("steps", int, "steps", "optimizer steps"),
    Column("seed", int, "seed", "seed of the training"),
    Column("split", str, "evaluation.split", "split that was evaluated"),
    Column("content", str, "evaluation.content", "digest of that split: never average over different ones"),
    Column("numerics", int, "evaluation.numerics", "version of what the numbers depend on in the code: likewise"),
    Column("voting", bool, "evaluation.voting", "whether score voting was on"),
    Column("multiscale", bool, "evaluation.multiscale", "whether it was a multi-scale test"),
    Column("sigma_t", float, "vote.sigma_t", "width of score voting, where it is on"),
    Column("voting_weight", str, "vote.voting_weight", "weight of a vote, where it is on: ps, p x score, or p"),
    *(Column(name, float, f"evaluation.numbers.{name}", f"COCO {name}, percent") for name in NUMBERS),
    Column("iou_error", float, "evaluation.iou_error", "mean |predicted - true IoU| of detections true at IoU 0.5"),
    Column("iou_error_positives", float, "evaluation.iou_error_positives", "the same of assigned positives"),
    Column("images", int, "evaluation.images", "images evaluated"),
    Column("detections", int, "evaluation.detections", "detections evaluated"),
    Column("upload", str, "evaluation.upload", "file for the evaluation server, below the run's folder"),
    Column("scored_by", str, "evaluation.score.source", "where AP is from, if an evaluation server measured it"),
    Column("scored_on", str, "evaluation.score.date", "day of that server's answer"),
    Column("wall_s", float, "wall_s", "seconds of training"),
    Column("eval_wall_s", float, "evaluation.wall_s", "seconds of detection and evaluation"),
    Column("started", float, "started", "Unix time at which the training began"),
    Column("device", str, "device", "cpu or cuda"),
    Column("threads", int, "threads", "CPU threads; missing where torch chose"),
    Column("world_size", int, "world_size", "processes that trained it together"),
    Column("precision", str, "config.precision", "numbers that the network computed in"),
    Column("host", str, "origin.host", "name of the machine"),
    Column("cpu", str, "origin.hardware.cpu", "processor"),
    Column("gpu", str, "origin.hardware.gpu", "GPU"),
    Column("commit", str, "origin.commit", "commit of the code"),
    Column("clean", bool, "origin.clean", "whether nothing differed from that commit"),
    Column("weights_sha256", str, "weights_sha256", "digest of the final weights"),
)
"""All columns, in order."""
