"""What must hold for every assigner, whatever its rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from scenes import scene

from paa.assign import ATSS, FNP, FSR, PAA, B, C, MaxIoU
from paa.boxes import BoxCoder
from paa.structures import Assignment, Predictions, Targets

ASSIGNERS: dict[str, Callable[..., Assignment]] = {
    **{type(boundary).__name__: PAA(boundary, BoxCoder()) for boundary in (C(), B(), FNP(4), FSR(0.15))},
    "ATSS": ATSS(),
    "ATSS legacy": ATSS(topk=3, legacy=True),
    **{f"MaxIoU {rule}": MaxIoU(low_quality=rule) for rule in ("own", "claimed", "none")},
}


ORDERED = "MaxIoU claimed"
"""Of several ground truths that claim an anchor the last has it, as in MMDetection: their order counts."""


@pytest.mark.parametrize("name", [name for name in ASSIGNERS if name != ORDERED])
def test_a_permutation_of_ground_truths_or_images_permutes_the_answer(name: str) -> None:
    assign = ASSIGNERS[name]
    for seed, kind in enumerate(("random", "crowded", "tiny", "huge", "elongated")):
        anchors, predictions, targets = scene(kind, seed, counts=(5, 5, 2))
        jitter = torch.rand(targets.boxes.shape, generator=torch.Generator().manual_seed(seed)) * 0.1
        targets = replace(targets, boxes=targets.boxes + jitter)  # so that no two IoUs are equal
        answer = assign(anchors, predictions, targets).gt_index
        assert (answer >= 0).any() or name == "MaxIoU none"

        order = torch.randperm(targets.boxes.shape[1], generator=torch.Generator().manual_seed(seed))
        shuffled = Targets(targets.boxes[:, order], targets.labels[:, order], targets.valid[:, order])
        after = assign(anchors, predictions, shuffled).gt_index
        assert torch.equal(torch.where(after >= 0, order[after.clamp(min=0)], after), answer)

        images = torch.tensor([2, 0, 1])
        after = assign(
            replace(anchors, inside=anchors.inside[images]),
            Predictions(predictions.logits[images], predictions.deltas[images]),
            Targets(targets.boxes[images], targets.labels[images], targets.valid[images]),
        ).gt_index
        assert torch.equal(after, answer[images])


@pytest.mark.parametrize("name", ASSIGNERS)
def test_padding_and_other_images_change_nothing(name: str) -> None:
    assign = ASSIGNERS[name]
    anchors, predictions, targets = scene("mixed", 7, counts=(4, 6, 0))
    answer = assign(anchors, predictions, targets).gt_index
    # rubbish where nothing is valid
    wide = Targets(
        torch.cat((targets.boxes, torch.full((3, 5, 4), 50.0)), 1),
        torch.cat((targets.labels, torch.full((3, 5), 2)), 1),
        torch.cat((targets.valid, torch.zeros(3, 5, dtype=torch.bool)), 1),
    )
    assert torch.equal(assign(anchors, predictions, wide).gt_index, answer)
    for b in range(3):
        alone = assign(
            replace(anchors, inside=anchors.inside[b : b + 1]),
            Predictions(predictions.logits[b : b + 1], predictions.deltas[b : b + 1]),
            Targets(targets.boxes[b : b + 1], targets.labels[b : b + 1], targets.valid[b : b + 1]),
        ).gt_index
        assert torch.equal(alone[0], answer[b])
