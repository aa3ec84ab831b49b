"""Nothing leaves the device: on "meta" tensors, which hold no data, any read of a value raises."""

from __future__ import annotations

import pytest
import torch
from scenes import scene

from paa.assign import (
    ATSS,
    DDOD,
    FCOS,
    FNP,
    FSAF,
    FSR,
    OTA,
    PAA,
    PISA,
    TAL,
    A,
    Assigner,
    B,
    C,
    D,
    DynamicSoftLabel,
    MaxIoU,
    SimOTA,
)
from paa.auxiliary import Auxiliary, Centerness, IoUPrediction, NoAuxiliary, Objectness
from paa.boxes import BoxCoder
from paa.criterion import Criterion
from paa.structures import Anchors, Predictions, Targets

ASSIGNERS = [PAA(boundary, BoxCoder(), roundtrip=True) for boundary in (A(), B(), C(), D(), FNP(3), FSR(0.2))]
ASSIGNERS += [PAA(C(), BoxCoder(), low_quality="claimed"), MaxIoU(center_inside=True), ATSS()]
ASSIGNERS += [FCOS(), SimOTA(BoxCoder(), soft=True), OTA(BoxCoder()), TAL(BoxCoder()), TAL(BoxCoder(), warmup=1.0)]
ASSIGNERS += [DynamicSoftLabel(BoxCoder()), DDOD(BoxCoder()), PISA(MaxIoU(), BoxCoder(), merge=True), FSAF(BoxCoder())]


def _meta(kind: str) -> tuple[Anchors, Predictions, Targets]:
    anchors, predictions, targets = scene(kind, 0)
    assert predictions.auxiliary is not None
    return (
        Anchors(
            anchors.boxes.to("meta"),
            anchors.level.to("meta"),
            anchors.inside.to("meta"),
            anchors.shapes,
            anchors.strides,
        ),
        Predictions(
            predictions.logits.to("meta").requires_grad_(),
            predictions.deltas.to("meta").requires_grad_(),
            predictions.auxiliary.to("meta").requires_grad_(),
        ),
        targets.to("meta"),
    )


def test_meta_tensors_cannot_be_read() -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.zeros(2, device="meta").sum().item()
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.zeros(2, device="meta").nonzero()


@pytest.mark.parametrize("assigner", ASSIGNERS, ids=lambda a: type(getattr(a, "boundary", a)).__name__)
def test_assigners_read_no_value(assigner: Assigner) -> None:
    anchors, predictions, targets = _meta("random")
    assert assigner(anchors, predictions, targets, 0.5).gt_index.shape == (2, 341)


@pytest.mark.parametrize(
    "task", [NoAuxiliary(), Centerness(), IoUPrediction(), Objectness()], ids=lambda t: type(t).__name__
)
@pytest.mark.parametrize("class_loss", ["focal", "qfl", "vfl", "mal"])
@pytest.mark.parametrize("normalizer", ["modern", "official", "mmdet", "quality"])
def test_the_criterion_reads_no_value_forward_or_backward(task: Auxiliary, normalizer: str, class_loss: str) -> None:
    anchors, predictions, targets = _meta("random")
    assignment = MaxIoU()(anchors, predictions, targets)
    criterion = Criterion(BoxCoder(), task, normalizer=normalizer, roundtrip=True, class_loss=class_loss, carl=1.0)
    statistics = criterion.statistics(predictions, anchors, targets, assignment)
    losses = criterion(predictions, anchors, targets, assignment, statistics)
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert predictions.deltas.grad is not None
