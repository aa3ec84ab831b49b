"""Assigners outside of this package: torchvision's RetinaNet trained on an assignment of each."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from paa.assign import ATSS, DDOD, FCOS, FSAF, OTA, PAA, PISA, TAL, Assigner, C, DynamicSoftLabel, MaxIoU, SimOTA
from paa.boxes import BoxCoder
from paa.structures import Anchors, Predictions, Targets

STRIDES = (16, 32)
CODER = BoxCoder(weights=(1, 1, 1, 1))
ASSIGNERS: tuple[Assigner, ...] = (
    PAA(C(), CODER),
    ATSS(),
    MaxIoU(),
    FCOS(ranges=[64]),
    SimOTA(CODER),
    OTA(CODER),
    TAL(CODER, warmup=0.0),
    DynamicSoftLabel(CODER),
    DDOD(CODER),
    PISA(MaxIoU(), CODER),
    FSAF(CODER),
)


class Backbone(torch.nn.Module):
    """Two maps of 16 channels, of strides 16 and 32."""

    out_channels = 16

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 16, 16, stride=16)
        self.second = torch.nn.Conv2d(16, 16, 3, stride=2, padding=1)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        first = self.first(images).relu()
        return {"0": first, "1": self.second(first).relu()}


@pytest.mark.parametrize("assigner", ASSIGNERS, ids=lambda a: type(a).__name__)
def test_retinanet_of_torchvision_makes_a_step_on_our_assignment(assigner: Assigner) -> None:
    torch.manual_seed(0)
    generator = AnchorGenerator(sizes=((64,), (128,)), aspect_ratios=((1.0,), (1.0,)))
    model = RetinaNet(Backbone(), num_classes=3, anchor_generator=generator)
    boxes = [torch.tensor([[10.0, 10, 80, 90], [60, 40, 120, 120]]), torch.zeros(0, 4)]
    labels = [torch.tensor([2, 0]), torch.zeros(0, dtype=torch.int64)]
    images = ImageList(torch.rand(2, 3, 128, 128), [(128, 128)] * 2)

    features = list(model.backbone(images.tensors).values())
    outputs = model.head(features)
    per_image = model.anchor_generator(images, features)
    shapes = tuple((int(f.shape[-2]), int(f.shape[-1])) for f in features)
    counts = torch.tensor([h * w for h, w in shapes])
    level = torch.arange(len(shapes)).repeat_interleave(counts)
    inside = torch.ones(2, int(counts.sum()), dtype=torch.bool)
    assignment = assigner(
        Anchors(per_image[0], level, inside, shapes, STRIDES),
        Predictions(outputs["cls_logits"], outputs["bbox_regression"]),
        Targets.pad(boxes, labels),
        0.0,
    )
    assert {0, 1} <= set(assignment.gt_index[0].tolist()) <= {-2, -1, 0, 1}
    assert set(assignment.gt_index[1].tolist()) == {-1}

    # torchvision's codes for "negative" and "between the thresholds" are ours: -1 and -2
    targets = [{"boxes": b, "labels": c} for b, c in zip(boxes, labels, strict=True)]
    losses = model.head.compute_loss(targets, outputs, per_image, list(assignment.gt_index))
    before = model.head.classification_head.cls_logits.weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total = sum(losses.values())
    assert torch.isfinite(total)
    total.backward()
    optimizer.step()
    assert not torch.equal(before, model.head.classification_head.cls_logits.weight)
    assert losses["bbox_regression"] > 0
