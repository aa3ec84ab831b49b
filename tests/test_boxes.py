from __future__ import annotations

import math

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder as TorchvisionCoder
from torchvision.ops import box_iou, generalized_box_iou_loss

from paa.boxes import MAX_LOG_RATIO, BoxCoder, center_inside, centers, clip, giou_loss, iou_matrix, iou_pairs, sides


def _boxes(*shape: int, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    near = torch.rand(*shape, 2, generator=draw) * 80
    return torch.cat((near, near + 0.5 + torch.rand(*shape, 2, generator=draw) * 60), -1)


def test_iou_by_hand() -> None:
    a, b = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[2.0, 2, 6, 4], [4, 0, 8, 4], [10, 10, 11, 11], [0, 0, 4, 4]])
    assert iou_matrix(a, b)[0].tolist() == pytest.approx([4 / 20, 0, 0, 1])
    # inclusive pixels: 5 x 5 and 5 x 3 share 3 x 3; 5 x 5 and 5 x 5 share a column of 5
    assert iou_matrix(a, b, legacy=True)[0].tolist() == pytest.approx([9 / (25 + 15 - 9), 5 / 45, 0, 1])
    assert iou_pairs(a.expand(4, 4), b).tolist() == iou_matrix(a, b)[0].tolist()


def test_iou_is_torchvisions_over_leading_dimensions() -> None:
    a, b = _boxes(3, 7, seed=1), _boxes(11, seed=2)
    found = iou_matrix(a, b)
    assert found.shape == (3, 7, 11)
    for i in range(3):
        torch.testing.assert_close(found[i], box_iou(a[i], b))
    torch.testing.assert_close(iou_matrix(b, a[0]), found[0].mT)
    assert torch.equal(iou_pairs(a.unsqueeze(2), b), found)
    assert torch.equal(iou_pairs(a.unsqueeze(2), b, legacy=True), iou_matrix(a, b, legacy=True))


def test_boxes_without_area_have_iou_0() -> None:
    point = torch.tensor([[5.0, 5, 5, 5]])
    assert iou_matrix(point, point).item() == 0
    assert iou_pairs(point, point).item() == 0
    assert iou_matrix(point, point, legacy=True).item() == 1


def test_iou_matrix_leaves_its_arguments_alone() -> None:
    a, b = _boxes(4), _boxes(5, seed=3)
    before = a.clone(), b.clone()
    iou_matrix(a, b, legacy=True)
    assert torch.equal(a, before[0])
    assert torch.equal(b, before[1])


def test_giou_loss_by_hand() -> None:
    a, b = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2]]), torch.tensor([[1.0, 1, 3, 3], [4, 0, 6, 2]])
    right = [1 - (1 / 7 - (9 - 7) / 9), 1 - (0 - (12 - 8) / 12)]
    for eps in ("add", "max"):
        assert giou_loss(a, b, eps).tolist() == pytest.approx(right, rel=1e-6)


def test_giou_loss_and_its_gradient_are_torchvisions() -> None:
    pred, target = _boxes(50, seed=4).requires_grad_(), _boxes(50, seed=5)
    ours, theirs = giou_loss(pred, target), generalized_box_iou_loss(pred, target)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    (grad,), (right,) = torch.autograd.grad(ours.sum(), pred), torch.autograd.grad(theirs.sum(), pred)
    torch.testing.assert_close(grad, right, rtol=1e-4, atol=1e-6)


def test_giou_loss_is_finite_where_boxes_have_no_area() -> None:
    flat = torch.tensor([[5.0, 5, 5, 5], [5, 5, 4, 4]], requires_grad=True)
    for eps in ("add", "max"):
        loss = giou_loss(flat, torch.tensor([[5.0, 5, 5, 5], [5, 5, 5, 5]]), eps)
        assert loss.isfinite().all()
        assert torch.autograd.grad(loss.sum(), flat)[0].isfinite().all()
    # both areas are 0, so only what is added or kept remains: union and enclosure are equal, their IoU is 0
    assert giou_loss(flat[:1], flat[:1]).item() == pytest.approx(1.0)


def test_a_far_corner_before_the_near_one_lies_on_it() -> None:
    target = torch.tensor([0.0, 0, 10, 10])
    turned, flat = torch.tensor([4.0, 4, 3, 8]), torch.tensor([4.0, 4, 4, 8])
    assert giou_loss(turned, target) == giou_loss(flat, target)


def test_boxes_that_only_touch_have_the_gradient_of_boxes_apart() -> None:
    target = torch.tensor([2.0, 0, 4, 2])
    touching = torch.tensor([0.0, 0, 2, 2], requires_grad=True)
    (grad,) = torch.autograd.grad(giou_loss(touching, target), touching)
    # GIoU = -(enclosure - union) / enclosure = (4 + 2 w) / 8 - 1 while apart: w wider raises the union alone
    assert grad[2].item() == pytest.approx(-1 / 4, rel=1e-5)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("clamp", ["upper", "both"])
@pytest.mark.parametrize("weights", [(10, 10, 5, 5), (1, 2, 3, 4)])
def test_decode_undoes_encode(legacy: bool, clamp: str, weights: tuple[float, ...]) -> None:
    coder = BoxCoder(legacy, clamp, weights)
    boxes, anchors = _boxes(2, 40, seed=6), _boxes(40, seed=7)
    boxes[..., 2:] += 5  # no side is beyond a factor of 62
    torch.testing.assert_close(coder.decode(coder.encode(boxes, anchors), anchors), boxes, rtol=1e-4, atol=1e-3)


def test_coder_by_hand() -> None:
    anchor, box = torch.tensor([[10.0, 20, 30, 60]]), torch.tensor([[20.0, 20, 40, 100]])
    right = [10 * 10 / 20, 10 * 20 / 40, 0, 5 * math.log(2)]
    assert BoxCoder().encode(box, anchor)[0].tolist() == pytest.approx(right)
    # legacy sides are 21 and 41, and 21 and 81; decoding gives back x1 = center - (w - 1) / 2
    right = [10 * 10 / 21, 10 * 20 / 41, 0, 5 * math.log(81 / 41)]
    assert BoxCoder(legacy=True).encode(box, anchor)[0].tolist() == pytest.approx(right)
    assert BoxCoder(legacy=True).decode(torch.zeros(1, 4), anchor)[0].tolist() == [10, 20, 30, 60]


def test_decode_is_torchvisions() -> None:
    anchors, deltas = _boxes(60, seed=8), torch.randn(60, 4, generator=torch.Generator().manual_seed(9)) * 15
    theirs = TorchvisionCoder((10.0, 10.0, 5.0, 5.0)).decode_single(deltas, anchors)
    torch.testing.assert_close(BoxCoder().decode(deltas, anchors), theirs)


def test_clamp_cuts_one_side_or_both() -> None:
    anchor, deltas = torch.tensor([[0.0, 0, 16, 16]]), torch.tensor([[0.0, 0, 1e4, -1e4]])
    wh = sides(BoxCoder(clamp="upper").decode(deltas, anchor))[0]
    assert wh.tolist() == pytest.approx([1000, 0], rel=1e-4)
    wh = sides(BoxCoder(clamp="both").decode(deltas, anchor))[0]
    assert wh.tolist() == pytest.approx([1000, 16 * 16 / 1000], rel=1e-4)
    assert math.isclose(MAX_LOG_RATIO, math.log(62.5))


def test_a_box_without_sides_survives_the_coder() -> None:
    anchor, point = torch.tensor([[0.0, 0, 16, 16]]), torch.tensor([[3.0, 4, 3, 4]])
    coder = BoxCoder()
    torch.testing.assert_close(coder.decode(coder.encode(point, anchor), anchor), point)


def test_decode_works_in_float32() -> None:
    deltas = torch.randn(3, 4).bfloat16()
    assert BoxCoder().decode(deltas, _boxes(3)).dtype == torch.float32


def test_clip_to_each_image() -> None:
    boxes = torch.tensor([[-5.0, -5, 300, 300], [10, 20, 30, 40]]).expand(2, 2, 4)
    sizes = torch.tensor([[100, 200], [50, 60]])
    assert clip(boxes, sizes)[:, 0].tolist() == [[0, 0, 200, 100], [0, 0, 60, 50]]
    assert clip(boxes, sizes, legacy=True)[:, 0].tolist() == [[0, 0, 199, 99], [0, 0, 59, 49]]
    assert clip(boxes, sizes)[0, 1].tolist() == [10, 20, 30, 40]
    assert clip(boxes[0], sizes[1]).tolist() == clip(boxes, sizes)[1].tolist()


def test_centers_and_center_inside() -> None:
    assert centers(torch.tensor([0.0, 2, 4, 10])).tolist() == [2, 6]
    box = torch.tensor([0.0, 0, 10, 10])
    points = torch.tensor([[5.0, 5], [0.01, 5], [0.02, 5], [5, 9.995], [-1, 5]])
    assert center_inside(points, box).tolist() == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clamp": "lower"}, "clamp=lower: must be one of upper, both"),
        ({"weights": (1, 2, 3)}, "must be four numbers"),
        ({"weights": (1, 2, 3, 0)}, r"weights\[3\]=0 is out of range: must be a number above 0"),
        ({"legacy": "yes"}, "legacy=yes: must be true or false"),
    ],
)
def test_coder_refuses_what_is_out_of_range(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BoxCoder(**arguments)  # type: ignore[arg-type]
