"""`compat=official` reproduces losses and gradients of the authors' code from the same outputs (golden arrays)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from composed import assign
from differences import Differences
from official_arrays import Case, load, names
from official_reasons import float_type, why_positive

from paa.boxes import BoxCoder
from paa.structures import Assignment, Targets

TRAIN = names("train")
PARTS = {"cls": "loss_cls", "box": "loss_reg", "aux": "loss_iou"}
AUTHORS = "official, the authors' code"


def losses_of(case: Case, assignment: Assignment) -> dict[str, torch.Tensor]:
    return case.built.criterion(case.predictions, case.anchors, case.targets, assignment)


def theirs(case: Case) -> Assignment:
    return Assignment(torch.from_numpy(case.arrays["matched_gt"].astype(np.int64)))


def compare(case: Case, assignment: Assignment, differences: Differences, what: str) -> None:
    losses = losses_of(case, assignment)
    assert losses.keys() == PARTS.keys()
    for ours, name in PARTS.items():
        right = case.arrays[name]
        differences.within(1e-5, AUTHORS, what, losses[ours].item(), right, relative=bool(right))


@pytest.mark.parametrize("name", TRAIN)
def test_loss_parts_and_statistics(name: str, differences: Differences) -> None:
    case = load(name)
    compare(case, theirs(case), differences, "loss parts")
    found = case.built.criterion.statistics(case.predictions, case.anchors, case.targets, theirs(case))
    positives = case.arrays["num_pos"]  # and so is the sum of their class targets, all of which are 1
    right = [positives, case.arrays["sum_ious"], len(case.arrays["image_sizes"]), positives]
    differences.within(1e-5, AUTHORS, "normalizers", found.numpy(), right, relative=True)


@pytest.mark.parametrize("name", TRAIN)
def test_iou_targets(name: str, differences: Differences) -> None:
    case = load(name)
    coder, assignment = case.built.coder, theirs(case)
    assert isinstance(coder, BoxCoder)
    boxes = case.targets.boxes.gather(1, assignment.gt_index.clamp(min=0).unsqueeze(-1).expand(-1, -1, 4))
    boxes = coder.decode(coder.encode(boxes, case.anchors.boxes), case.anchors.boxes)
    decoded = coder.decode(case.predictions.deltas.detach(), case.anchors.boxes)
    targets = case.built.auxiliary.target(decoded, boxes, case.anchors.boxes)[assignment.positive]
    # some units of the last digit of 1, from coordinates of up to a thousand pixels
    differences.within(1e-5, AUTHORS, "IoU targets", targets.numpy(), case.arrays["iou_targets"])


@pytest.mark.parametrize("name", TRAIN)
def test_gradients(name: str, differences: Differences) -> None:
    gradients = gradients_of(load(name))
    arrays = load(name).arrays
    for kind, grad in gradients.items():
        right = {key: arrays[f"grad_{kind}_{key}"] for key in ("numel", "nonzero", "abssum", "index", "value")}
        assert len(grad) == right["numel"]
        compare_zeros(kind, grad, arrays, differences)
        total = np.abs(grad.astype(np.float64)).sum()
        differences.within(1e-4, AUTHORS, f"gradients of {kind}, their sum", total, right["abssum"], relative=True)
        # an entry in which large terms cancel is known no better than to the rounding of the largest ones, 2e-6 of them
        scale = np.abs(right["value"]) + 2e-2 * np.abs(right["value"]).max()
        gap = np.abs(grad[right["index"]] - right["value"]) / np.maximum(scale, np.finfo(np.float32).tiny)
        beyond = np.flatnonzero(gap > 1e-4)
        if len(beyond):
            loose = spread(name, kind)[right["index"]][beyond]
            differences.tell(f"{kind}: {len(beyond)} entries move so with the last digit of the targets")
            off = np.abs(grad[right["index"]] - right["value"])[beyond]
            assert (off <= loose).all(), f"{kind}: {gap.max():.3g}, which the last digits of the targets do not explain"
            assert len(beyond) <= 0.01 * len(gap)
        differences.most(1e-4, AUTHORS, f"gradients of {kind}, relative", float(gap[gap <= 1e-4].max(initial=0)))


def gradients_of(case: Case, targets: Targets | None = None) -> dict[str, np.ndarray]:
    """Return the gradient of the summed losses for each kind of output, raveled, fine to coarse."""
    losses = case.built.criterion(case.predictions, case.anchors, targets or case.targets, theirs(case))
    torch.stack(list(losses.values())).sum().backward()
    return {
        kind: np.concatenate([np.zeros(m.numel()) if m.grad is None else m.grad.flatten().numpy() for m in maps])
        for kind, maps in case.leaves.items()
    }


def spread(name: str, kind: str) -> np.ndarray:
    """Return how much gradients change if target coordinates move by at most a unit of their last digit: 8 draws.

    So they do on the way through encode and decode, which boxes of a pixel feel the most.
    """
    draw, found = torch.Generator().manual_seed(0), []
    for _ in range(8):
        case = load(name)
        boxes = case.targets.boxes
        moved = boxes * (1 + 2.0**-23 * torch.randint(-1, 2, boxes.shape, generator=draw))
        found.append(gradients_of(case, replace(case.targets, boxes=moved))[kind])
    return np.ptp(np.stack(found), 0)


def compare_zeros(kind: str, grad: np.ndarray, arrays: dict[str, np.ndarray], differences: Differences) -> None:
    """Assert equal numbers of nonzero entries, except where terms cancel or underflow in one of the two."""
    ours, right = np.count_nonzero(grad), int(arrays[f"grad_{kind}_nonzero"])
    if ours == right:
        return
    most = {"cls": len(grad), "reg": 4 * int(arrays["num_pos"]), "iou": int(arrays["num_pos"])}[kind]
    sure = int((np.abs(grad) > (1e-30 if kind == "cls" else 1e-6 * np.abs(grad).max())).sum())
    differences.tell(f"{kind}: {ours} gradients are not 0, there {right}; {sure} are so beyond rounding, {most} may be")
    assert sure <= right <= most
    assert abs(ours - right) <= max(1, 0.001 * most)


@pytest.mark.parametrize("name", TRAIN)
def test_losses_of_our_own_assignment(name: str, differences: Differences) -> None:
    case = load(name)
    assignment = assign(case.built, case.anchors, case.predictions, case.targets)
    matched, right = assignment.gt_index.clamp(min=-1).numpy(), case.arrays["matched_gt"]
    moved = [(b, g, i) for b, g, i in case.gt_slices() if ((matched[b] == g) != (right[b] == g)).any()]
    whys = [float_type(case, i) or why_positive(case, assignment, b, g, i, right[b] == g) for b, g, i in moved]
    assert None not in whys, f"ground truth {moved[whys.index(None)][2]}: nothing explains its positives"
    if moved:
        pytest.skip(f"the float type of the fit, or rounding, decides a label in this file: {whys[0]}")
    compare(case, assignment, differences, "loss parts, end to end")
