from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from scenes import scene
from torch.nn import functional as F
from torchvision.ops import box_iou, generalized_box_iou_loss, sigmoid_focal_loss

from paa.assign import PAA, C
from paa.assign.matching import gather_targets
from paa.auxiliary import Auxiliary, Centerness, IoUPrediction, NoAuxiliary
from paa.boxes import BoxCoder, iou_pairs
from paa.criterion import CLASS_LOSSES, NORMALIZERS, ZERO_WEIGHTS, Criterion
from paa.structures import Anchors, Assignment, Predictions, Targets

TASKS = (NoAuxiliary(), Centerness(), IoUPrediction())
Step = tuple[Predictions, Anchors, Targets, Assignment]


def _step(seed: int = 0, kind: str = "random", counts: tuple[int, ...] = (4, 0, 3, 6)) -> Step:
    anchors, predictions, targets = scene(kind, seed, counts)
    assignment = PAA(C(), BoxCoder())(anchors, predictions, targets)
    for tensor in (predictions.logits, predictions.deltas, predictions.auxiliary):
        assert tensor is not None
        tensor.requires_grad_()
    return predictions, anchors, targets, assignment


def _image(step: Step, images: slice) -> Step:
    predictions, anchors, targets, assignment = step
    assert predictions.auxiliary is not None
    return (
        Predictions(predictions.logits[images], predictions.deltas[images], predictions.auxiliary[images]),
        replace(anchors, inside=anchors.inside[images]),
        Targets(targets.boxes[images], targets.labels[images], targets.valid[images]),
        replace(assignment, gt_index=assignment.gt_index[images]),
    )


def _literal(step: Step, task: Auxiliary, normalizer: str) -> dict[str, float]:
    """The loss from torchvision's functions, positive by positive."""
    predictions, anchors, targets, assignment = step
    assert predictions.auxiliary is not None
    images, classes = len(predictions.logits), predictions.logits.shape[-1]
    cls, boxes, weights, aux, positives = 0.0, [], [], [], 0
    for b in range(images):
        wanted = torch.zeros_like(predictions.logits[b])
        for a, g in enumerate(assignment.gt_index[b].tolist()):
            if g < 0:
                continue
            positives += 1
            wanted[a] = F.one_hot(targets.labels[b, g], classes)
            box = BoxCoder().decode(predictions.deltas[b, a], anchors.boxes[a])
            gt = targets.boxes[b, g]
            if isinstance(task, IoUPrediction):
                target = box_iou(box[None], gt[None]).item()
            else:
                target = task.target(box, gt, anchors.boxes[a]).item()
            boxes.append(generalized_box_iou_loss(box, gt).item())
            weights.append(target)
            aux.append(F.binary_cross_entropy_with_logits(predictions.auxiliary[b, a], torch.tensor(target)).item())
        kept = assignment.gt_index[b] != -2
        cls += sigmoid_focal_loss(predictions.logits[b][kept], wanted[kept], 0.25, 2.0, "sum").item()
    weighted = sum(w * x for w, x in zip(weights, boxes, strict=True))
    by_class, by_box = max(positives, 1), max(sum(weights), 1)
    if normalizer in ("official", "quality_sum"):
        by_box = sum(weights)
    by_aux = positives
    if normalizer == "mmdet":
        by_class, by_box = max(positives, images), sum(weights)
    if normalizer == "mmdet_atss":
        by_class = by_aux = sum(max(int((of_image >= 0).sum()), 1) for of_image in assignment.gt_index)
    losses = {"cls": cls / by_class, "box": task.lambda_1 * weighted / by_box}
    return losses | ({"aux": task.lambda_2 * sum(aux) / by_aux} if task.has_head else {})


@pytest.mark.parametrize("task", TASKS, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_loss_is_the_literal_one(task: Auxiliary, normalizer: str) -> None:
    for seed, kind in enumerate(("random", "huge", "nested")):
        step = _step(seed, kind)
        criterion = Criterion(BoxCoder(), task, normalizer=normalizer)
        losses = criterion(*step)
        assert {k: v.item() for k, v in losses.items()} == pytest.approx(_literal(step, task, normalizer), rel=1e-5)


@pytest.mark.parametrize("task", TASKS, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_micro_batches_add_up_to_the_joint_batch(task: Auxiliary, normalizer: str) -> None:
    step = _step(5)
    criterion = Criterion(BoxCoder(), task, normalizer=normalizer)
    joint = criterion(*step)
    parts = [_image(step, s) for s in (slice(0, 1), slice(1, 2), slice(2, 4))]
    statistics = sum(criterion.statistics(*part) for part in parts)
    assert isinstance(statistics, torch.Tensor)
    torch.testing.assert_close(statistics, criterion.statistics(*step), rtol=1e-6, atol=0)
    split = [criterion(*part, statistics=statistics) for part in parts]
    for key, whole in joint.items():
        torch.testing.assert_close(sum(part[key] for part in split), whole, rtol=1e-6, atol=1e-6)

    leaves = [t for t in (step[0].logits, step[0].deltas, step[0].auxiliary) if t is not None][: 2 + task.has_head]
    right = torch.autograd.grad(sum(joint.values()), leaves)  # type: ignore[arg-type]
    total = sum(sum(part.values()) for part in split)
    for ours, theirs in zip(torch.autograd.grad(total, leaves), right, strict=True):  # type: ignore[arg-type]
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-8)


def test_statistics_are_positives_weights_and_images() -> None:
    step = _step(2)
    predictions, anchors, targets, assignment = step
    criterion = Criterion(BoxCoder(), IoUPrediction())
    found = criterion.statistics(*step)
    assert not found.requires_grad
    decoded = BoxCoder().decode(predictions.deltas, anchors.boxes)
    total = sum(
        box_iou(decoded[b, a][None], targets.boxes[b, assignment.gt_index[b, a]][None]).item()
        for b, a in assignment.positive.nonzero().tolist()
    )
    assert found.tolist() == pytest.approx(
        [int(assignment.positive.sum()), total, 4, int(assignment.positive.sum())], rel=1e-5
    )


def test_an_image_without_a_positive_counts_as_one_with_mmdet_atss() -> None:
    step = _step(2, counts=(3, 0, 4, 0))
    of_image = step[3].positive.sum(1).tolist()
    assert min(of_image) == 0
    plain, floored = (Criterion(BoxCoder(), Centerness(), normalizer=n) for n in ("modern", "mmdet_atss"))
    counts = floored.statistics(*step)
    assert counts[0] == sum(max(n, 1) for n in of_image) == plain.statistics(*step)[0] + of_image.count(0)
    ours, usual = floored(*step), plain(*step)
    for part in ("cls", "aux"):
        torch.testing.assert_close(ours[part] * counts[0], usual[part] * sum(of_image))
    torch.testing.assert_close(ours["box"], usual["box"])


def test_the_statistics_of_a_step_normalize_each_part_of_it() -> None:
    step = _step(3)
    for normalizer in NORMALIZERS:
        criterion = Criterion(BoxCoder(), IoUPrediction(), normalizer=normalizer)
        alone, own = criterion(*step), criterion.statistics(*step)
        part = criterion(*step, statistics=13 * own)  # the rest of the step has twelve times as much
        for key in alone:
            torch.testing.assert_close(part[key], alone[key] / 13)


@pytest.mark.parametrize(
    ("normalizer", "task", "divisors"),
    [
        ("modern", IoUPrediction(), (1, 1, 1)),
        ("official", IoUPrediction(), (1, 0.1, 1)),
        ("official", NoAuxiliary(), (1, 1, 1)),
        ("mmdet", IoUPrediction(), (0.75, 0.1, 0.5)),
        ("mmdet_atss", IoUPrediction(), (1, 1, 1)),
        ("quality", IoUPrediction(), (1, 1, 1)),
        ("quality_sum", IoUPrediction(), (0.25, 0.1, 1)),
    ],
)
def test_floors_of_the_normalizers(normalizer: str, task: Auxiliary, divisors: tuple[float, ...]) -> None:
    step = _step(4)
    criterion = Criterion(BoxCoder(), task, normalizer=normalizer)
    few, many = torch.tensor([0.5, 0.1, 0.75, 0.25]), torch.full((4,), 1024.0)
    ours, scale = criterion(*step, statistics=few), criterion(*step, statistics=many)
    for key, divisor in zip(ours, divisors, strict=False):
        assert (scale[key] * 1024 / ours[key]).item() == pytest.approx(divisor, rel=1e-5)


def _without_overlap(step: Step) -> Step:
    """The same step with every predicted box so far away that its IoU is 0."""
    predictions = step[0]
    far = torch.cat((torch.full_like(predictions.deltas[..., :2], 300.0), predictions.deltas[..., 2:] * 0), -1)
    return Predictions(predictions.logits, far.detach().requires_grad_(), predictions.auxiliary), *step[1:]


def test_weights_that_sum_to_0() -> None:
    step = _without_overlap(_step(6))
    of_codes: dict[str, dict[str, Any]] = {
        "modern": {},
        "official": {"zero_weights": "unweighted"},
        "mmdet": {"zero_weights": "floor", "epsilon": 1.1920929e-07},
    }
    losses = {
        n: Criterion(BoxCoder(), IoUPrediction(), normalizer=n, **more)(*step)["box"] for n, more in of_codes.items()
    }
    unweighted = Criterion(BoxCoder(), NoAuxiliary())(*step)["box"]
    assert losses["modern"] == 0
    torch.testing.assert_close(losses["official"], unweighted)
    # weights of 1e-12 over a normalizer of 1.19e-7
    positives = int(step[3].positive.sum())
    assert losses["mmdet"].item() == pytest.approx(unweighted.item() * positives * 1e-12 / 1.19209290e-07, rel=1e-4)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
@pytest.mark.parametrize("epsilon", [0.0, 0.25])
def test_what_becomes_of_weights_that_sum_to_0_is_a_choice_of_its_own(normalizer: str, epsilon: float) -> None:
    step, epsilon_and = _without_overlap(_step(6)), {"normalizer": normalizer, "epsilon": epsilon}
    box = {z: Criterion(BoxCoder(), IoUPrediction(), zero_weights=z, **epsilon_and)(*step)["box"] for z in ZERO_WEIGHTS}
    unweighted = Criterion(BoxCoder(), NoAuxiliary())(*step)["box"]
    positives = int(step[3].positive.sum())
    counted = Criterion(BoxCoder(), IoUPrediction(), normalizer=normalizer).statistics(*step)[0]
    assert box["keep"] == 0
    torch.testing.assert_close(box["unweighted"] * counted, unweighted * positives)
    divisor = 1 + epsilon if normalizer in ("modern", "mmdet_atss", "quality") else epsilon or positives
    assert box["floor"].item() == pytest.approx(unweighted.item() * positives * 1e-12 / divisor, rel=1e-4)


def test_a_floor_of_weights_leaves_a_sum_above_0() -> None:
    step = _step(2)
    plain, floored = (Criterion(BoxCoder(), IoUPrediction(), zero_weights=z)(*step)["box"] for z in ("keep", "floor"))
    torch.testing.assert_close(plain, floored)


def test_epsilon_is_added_to_each_normalizer() -> None:
    step = _step(4)
    counts = torch.tensor([8.0, 4.0, 2.0, 8.0])
    without, within = (Criterion(BoxCoder(), IoUPrediction(), epsilon=e)(*step, statistics=counts) for e in (0.0, 0.5))
    for key, divisor in {"cls": 8, "box": 4, "aux": 8}.items():
        torch.testing.assert_close(within[key] * (divisor + 0.5), without[key] * divisor)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_a_batch_without_positives_trains_its_negatives(normalizer: str) -> None:
    step = _step(0, counts=(0, 0))
    losses = Criterion(BoxCoder(), IoUPrediction(), normalizer=normalizer)(*step)
    assert losses["cls"] > 0
    assert losses["box"] == 0
    assert losses["aux"] == 0
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert step[0].logits.grad is not None
    assert step[0].logits.grad.abs().sum() > 0
    assert step[0].deltas.grad is not None
    assert (step[0].deltas.grad == 0).all()


def test_ignored_anchors_train_nothing() -> None:
    step = _step(1)
    predictions, anchors, targets, assignment = step
    gt_index = assignment.gt_index.clone()
    gt_index[:, ::3] = -2
    losses = Criterion(BoxCoder(), IoUPrediction())(predictions, anchors, targets, Assignment(gt_index))
    sum(losses.values()).backward()  # type: ignore[union-attr]
    for tensor in (predictions.logits, predictions.deltas, predictions.auxiliary):
        assert tensor is not None
        assert tensor.grad is not None
        assert (tensor.grad[gt_index == -2] == 0).all()
    assert (predictions.logits.grad[gt_index == -1] != 0).any()  # type: ignore[index]


def test_weights_of_the_assignment_multiply_elements_of_their_own_part() -> None:
    predictions, anchors, targets, assignment = _step(7)
    half, positive = torch.full(assignment.gt_index.shape, 0.5), assignment.positive.float()

    def losses(**weights: torch.Tensor) -> dict[str, torch.Tensor]:
        criterion = Criterion(BoxCoder(), IoUPrediction())
        return criterion(predictions, anchors, targets, replace(assignment, **weights))

    plain, by_class, by_box = losses(), losses(class_weights=half), losses(box_weights=half * positive)
    torch.testing.assert_close(by_class["cls"], 0.5 * plain["cls"])
    torch.testing.assert_close(by_box["box"], plain["box"])  # a weighted mean
    assert losses(class_weights=positive)["cls"] < plain["cls"]
    assert by_class["box"] == plain["box"]
    assert by_box["cls"] == plain["cls"]
    assert by_class["aux"] == by_box["aux"] == plain["aux"]
    one_class = torch.zeros_like(predictions.logits).index_fill_(-1, torch.tensor(1), 1.0)
    losses(class_weights=one_class)["cls"].backward()
    assert predictions.logits.grad is not None
    assert (predictions.logits.grad != 0).any(1).any(0).tolist() == [False, True, False, False]


@pytest.mark.parametrize("class_loss", list(CLASS_LOSSES))
def test_a_soft_class_target_is_the_quality_or_else_the_iou(class_loss: str) -> None:
    predictions, anchors, targets, assignment = step = _step(3)
    criterion = Criterion(BoxCoder(), NoAuxiliary(), class_loss=class_loss, normalizer="quality")
    decoded = BoxCoder().decode(predictions.deltas.detach(), anchors.boxes)
    boxes, labels = gather_targets(targets, assignment.gt_index)
    iou = iou_pairs(decoded, boxes)
    found = criterion(*step)["cls"]
    torch.testing.assert_close(criterion(*step[:3], replace(assignment, quality=iou))["cls"], found)
    by_hand = CLASS_LOSSES[class_loss](predictions.logits, labels.where(assignment.positive, -1), iou)
    total = iou[assignment.positive].sum()
    torch.testing.assert_close(criterion.statistics(*step)[3], total)
    torch.testing.assert_close(found, by_hand[assignment.gt_index != -2].sum() / total.clamp(min=1))
    found.backward()
    assert predictions.deltas.grad is None
    assert criterion(*step[:3], replace(assignment, quality=iou / 2))["cls"] != found


def test_iou_weights_and_targets_carry_no_gradient() -> None:
    predictions, anchors, targets, assignment = _step(8)
    (grad,) = torch.autograd.grad(
        Criterion(BoxCoder(), IoUPrediction())(predictions, anchors, targets, assignment)["aux"],
        predictions.deltas,
        allow_unused=True,
    )
    assert grad is None
    one_gt = (assignment.gt_index == 0) & (torch.arange(4).view(-1, 1) == 0)
    only = Assignment(torch.where(one_gt.cumsum(1).eq(1) & one_gt, 0, -1))
    assert only.positive.sum() == 1
    weighted = Criterion(BoxCoder(), IoUPrediction(), normalizer="official")(predictions, anchors, targets, only)["box"]
    plain = Criterion(BoxCoder(), NoAuxiliary(), normalizer="official")(predictions, anchors, targets, only)["box"]
    ours, right = (torch.autograd.grad(loss, predictions.deltas)[0] for loss in (weighted, plain))
    torch.testing.assert_close(ours, right)  # one positive: its weight cancels, in the gradient as well


def test_ground_truths_may_pass_the_coder_first() -> None:
    predictions, anchors, _, _ = _step(9, counts=(1,))
    last = Assignment(torch.where(torch.arange(341) == 340, 0, -1).view(1, -1))
    # an anchor of 1024 pixels, with both sides of the clamp on, cannot make a box smaller than 1024 / 62.5 pixels
    small, coded = (torch.tensor([[64 - s / 2, 64 - s / 2, 64 + s / 2, 64 + s / 2]]) for s in (2.0, 16.384))
    label = torch.tensor([1])
    losses = []
    for box, roundtrip in ((small, True), (coded, False), (small, False)):
        criterion = Criterion(BoxCoder(clamp="both"), IoUPrediction(), roundtrip=roundtrip, normalizer="official")
        losses.append(criterion(predictions, anchors, Targets.pad([box], [label]), last))
    for key, loss in losses[0].items():
        torch.testing.assert_close(loss, losses[1][key], rtol=1e-4, atol=1e-6)
    assert losses[2]["aux"] != losses[0]["aux"]


def test_a_missing_head_is_said() -> None:
    predictions, *rest = _step(0)
    bare = Predictions(predictions.logits, predictions.deltas)
    assert set(Criterion(BoxCoder(), NoAuxiliary())(bare, *rest)) == {"cls", "box"}
    with pytest.raises(ValueError, match="IoUPrediction trains the detector's auxiliary logit, and it has none"):
        Criterion(BoxCoder(), IoUPrediction())(bare, *rest)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("normalizer", "sum"),
        ("normalizer_sync", "all"),
        ("alpha", 2),
        ("gamma", -1),
        ("giou", "diou"),
        ("epsilon", -1),
        ("zero_weights", "drop"),
    ],
)
def test_arguments_out_of_range_are_refused(argument: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{argument}={value}"):
        Criterion(BoxCoder(), NoAuxiliary(), **{argument: value})  # type: ignore[arg-type]
