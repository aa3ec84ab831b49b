"""Outputs of MMDetection's heads and assigners for a batch of images: its shipped configurations, its own methods.

Imports MMDetection where it is called; `mmdetection.require` comes before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from literal_assign import Image
from literal_rules import STRIDES
from mmdetection import FOLDER
from torch import Tensor

CONFIGS = FOLDER / "mmdet" / ".mim" / "configs"
PAA = "paa/paa_r50_fpn_1x_coco.py"
ATSS = "atss/atss_r50_fpn_1x_coco.py"
BASELINE = "retinanet/retinanet_r50_fpn_1x_coco.py"
PARTS = {"loss_cls": "cls", "loss_bbox": "box", "loss_iou": "aux", "loss_centerness": "aux"}
Maps = dict[str, list[Tensor]]


def head(name: str, classes: int) -> Any:
    """Build the head of a shipped configuration (PAA or ATSS) with so many classes and thin towers."""
    from mmdet.registry import MODELS
    from mmengine import Config

    model = Config.fromfile(CONFIGS / name).model
    node = model.bbox_head
    node.update(
        num_classes=classes, in_channels=32, feat_channels=32, train_cfg=model.train_cfg, test_cfg=model.test_cfg
    )
    return MODELS.build(node)


def maps_of(images: list[Image]) -> Maps:
    """Return the leaves "cls", "reg" and "iou": maps [B, C, h, w] of each level."""
    padded = images[0].padded
    shapes = [(-(-padded[0] // s), -(-padded[1] // s)) for s in STRIDES]
    maps: Maps = {}
    for kind, name in (("cls", "logits"), ("reg", "deltas"), ("iou", "quality")):
        stacked = torch.from_numpy(np.stack([getattr(image, name) for image in images]))
        levels = stacked.reshape(*stacked.shape[:2], -1).split([h * w for h, w in shapes], 1)
        maps[kind] = [
            level.mT.reshape(len(images), -1, h, w).clone().requires_grad_()
            for level, (h, w) in zip(levels, shapes, strict=True)
        ]
    return maps


def instances_of(images: list[Image], originals: list[tuple[int, int]]) -> tuple[list[Any], list[dict[str, Any]]]:
    """Return ground truths and meta information as MMDetection's data pipeline does; sizes are (h, w)."""
    from mmengine.structures import InstanceData

    truths, metas = [], []
    for image, original in zip(images, originals, strict=True):
        boxes, labels = torch.from_numpy(image.boxes), torch.tensor(image.labels, dtype=torch.int64)
        truths.append(InstanceData(bboxes=boxes, labels=labels))
        scale = (image.size[1] / original[1], image.size[0] / original[0])
        pad = tuple(-(-side // 32) * 32 for side in image.size)
        metas.append({"img_shape": image.size, "pad_shape": pad, "ori_shape": original, "scale_factor": scale})
    return truths, metas


def losses_of(
    name: str, images: list[Image], classes: int
) -> tuple[dict[str, float], dict[str, np.ndarray], np.ndarray]:
    """Return loss parts, derivatives [B, A, ...] of "cls", "reg" and "iou", and PAA's gt_index (`gt_index_of`)."""
    made, maps = head(name, classes), maps_of(images)
    truths, metas = instances_of(images, [image.size for image in images])
    with _reassigned(made) as kept:
        found = made.loss_by_feat(*maps.values(), truths, metas)
    parts = {PARTS[key]: torch.stack(value).sum() if isinstance(value, list) else value for key, value in found.items()}
    torch.stack(list(parts.values())).sum().backward()
    slopes = {kind: _flat([_slope(m) for m in levels]).numpy() for kind, levels in maps.items()}
    index = (
        np.array([gt_index_of(image, *one) for image, one in zip(images, kept, strict=True)]) if kept else np.empty(0)
    )
    return {key: float(value.detach()) for key, value in parts.items()}, slopes, index


def separated(scores: np.ndarray) -> np.ndarray:
    """Return PAAHead.paa_reassign's labels int8 [M] of ascending scores [M] of the candidates of one GT."""
    made, count = head(PAA, 1), len(scores)
    made.topk = count
    places, ones = torch.arange(count), torch.ones(count)
    arguments = (torch.zeros(count, dtype=torch.int64), ones, ones.view(-1, 1).expand(-1, 4), places, 0 * places)
    labels, *_ = made.paa_reassign(torch.from_numpy(scores), *arguments, [torch.zeros(count, 4)])
    return (labels == 0).to(torch.int8).numpy()


def gt_index_of(image: Image, belongs: dict[int, int], labels: Tensor, weights: Tensor) -> np.ndarray:
    """Return the ground truth of each positive anchor [A], -1 if negative, -2 if without weight in the loss."""
    positive = labels < max(image.labels, default=0) + 1
    own = torch.tensor([belongs.get(a, -1) for a in range(len(labels))])
    return torch.where(positive, own, torch.where(weights > 0, -1, -2)).numpy()


@contextlib.contextmanager
def _reassigned(made: Any) -> Iterator[list[tuple[dict[int, int], Tensor, Tensor]]]:
    """Collect for each image the first match's ground truth by anchor, and labels and label weights after PAA."""
    kept: list[tuple[dict[int, int], Tensor, Tensor]] = []
    if not hasattr(made, "paa_reassign"):
        yield kept
        return
    own = made.paa_reassign

    def listen(
        losses: Tensor, label: Tensor, weight: Tensor, box_weight: Tensor, places: Tensor, gts: Tensor, *rest: Any
    ):
        answer = own(losses, label, weight, box_weight, places, gts, *rest)
        kept.append((dict(zip(places.tolist(), gts.tolist(), strict=True)), answer[0], answer[1]))
        return answer

    made.paa_reassign = listen
    try:
        yield kept
    finally:
        del made.paa_reassign


@contextlib.contextmanager
def float64_mixtures() -> Iterator[None]:
    """Let PAAHead fit its mixtures in float64; it passes float32 to scikit-learn, which then computes in float32."""
    from mmdet.models.dense_heads import paa_head
    from sklearn.mixture import GaussianMixture

    class InFloat64(GaussianMixture):
        def fit(self, x: np.ndarray, y: None = None) -> GaussianMixture:
            return super().fit(x.astype(np.float64))

        def predict(self, x: np.ndarray) -> np.ndarray:
            return super().predict(x.astype(np.float64))

        def score_samples(self, x: np.ndarray) -> np.ndarray:
            return super().score_samples(x.astype(np.float64))

    was = paa_head.skm

    class Module:
        GaussianMixture = InFloat64

    paa_head.skm = Module
    try:
        yield
    finally:
        paa_head.skm = was


def detections_of(
    name: str, images: list[Image], originals: list[tuple[int, int]], classes: int, voting: bool = False
) -> list[Any]:
    """Return bboxes, scores, labels of each image in pixels of the stored image; only PAA has voting."""
    made = head(name, classes)
    if name == PAA:
        made.with_score_voting = voting
    _, metas = instances_of(images, originals)
    with torch.no_grad():
        return made.predict_by_feat(*maps_of(images).values(), batch_img_metas=metas, rescale=True)


def assigned_by(name: str, images: list[Image]) -> np.ndarray:
    """Return gt_index [B, A] of the assigner of a shipped configuration, on the used anchors of PAAHead."""
    from mmdet.registry import TASK_UTILS
    from mmengine import Config
    from mmengine.structures import InstanceData

    assigner = TASK_UTILS.build(Config.fromfile(CONFIGS / name).model.train_cfg.assigner)
    truths, metas = instances_of(images, [image.size for image in images])
    shapes = [m.shape[-2:] for m in maps_of(images)["cls"]]
    every, valid = head(PAA, 1).get_anchors(shapes, metas, device="cpu")
    found = []
    for anchors, flags, truth in zip(every, valid, truths, strict=True):
        boxes, inside = torch.cat(anchors), torch.cat(flags)
        counts = [[int(level.sum()) for level in flags]] if name == ATSS else []
        numbers = assigner.assign(InstanceData(priors=boxes[inside]), *counts, truth, None).gt_inds
        answer = torch.full((len(boxes),), -2)
        answer[inside] = torch.where(numbers > 0, numbers - 1, -1 - (numbers < 0).long())  # 0 background, -1 ignored
        found.append(answer.numpy())
    return np.stack(found)


def _slope(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _flat(levels: list[Tensor]) -> Tensor:
    return torch.cat([level.flatten(2).mT for level in levels], 1)
