"""Box arithmetic: IoU, GIoU, the delta coder, clipping.

Boxes are xyxy in pixels, float32. `legacy` is the inclusive-pixel convention of the authors' code, where a box
from x1 to x2 is x2 - x1 + 1 wide; without it a box is x2 - x1 wide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from paa.checks import Checked, checked, choice, flag, number, sequence

MAX_LOG_RATIO = math.log(1000.0 / 16.0)
"""Largest change of a side in log space that a delta may ask for (about 62 times)."""

_MIN_UNION = 1e-6  # as MMDetection: two boxes of no area then have IoU 0 and not 0 / 0


def sides(boxes: Tensor, legacy: bool = False) -> Tensor:
    """Width and height [..., 2] of boxes [..., 4]. Legacy adds 1 to the difference: tied IoUs hang on that order."""
    wh = boxes[..., 2:] - boxes[..., :2]
    return wh + 1 if legacy else wh


def centers(boxes: Tensor) -> Tensor:
    """Center (x, y) [..., 2] of boxes [..., 4]; the same in both conventions."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def center_inside(points: Tensor, boxes: Tensor, margin: float = 0.01) -> Tensor:
    """Whether points [..., 2] lie more than `margin` pixels inside of boxes [..., 4] -> bool [...] (authors' code)."""
    return torch.cat((points - boxes[..., :2], boxes[..., 2:] - points), -1).amin(-1) > margin


def centerness(points: Tensor, boxes: Tensor) -> Tensor:
    """Centerness [...] of points [..., 2] in boxes [..., 4] (FCOS): 1 in the center, 0 on the edge and outside."""
    near, far = points - boxes[..., :2], boxes[..., 2:] - points
    ratio = torch.minimum(near, far).clamp(min=0) / torch.maximum(near, far).clamp(min=1e-6)
    return ratio.prod(-1).sqrt()


def iou_matrix(a: Tensor, b: Tensor, legacy: bool = False) -> Tensor:
    """IoU of every box of a [..., N, 4] with every box of b [..., M, 4] -> [..., N, M]; leading dimensions broadcast.

    Two boxes without area have IoU 0. Coordinates are kept apart so that each pass over [..., N, M] is contiguous.
    """
    ax1, ay1, ax2, ay2 = a.mT.unsqueeze(-1).unbind(-3)
    bx1, by1, bx2, by2 = b.mT.contiguous().unsqueeze(-2).unbind(-3)
    w = torch.minimum(ax2, bx2).sub_(torch.maximum(ax1, bx1))
    h = torch.minimum(ay2, by2).sub_(torch.maximum(ay1, by1))
    if legacy:
        w, h = w.add_(1), h.add_(1)
    inter = w.clamp_(min=0).mul_(h.clamp_(min=0))
    area_a, area_b = sides(a, legacy).prod(-1), sides(b, legacy).prod(-1)
    union = (area_a.unsqueeze(-1) + area_b.unsqueeze(-2)).sub_(inter).clamp_(min=_MIN_UNION)
    return inter.div_(union)


def iou_pairs(a: Tensor, b: Tensor, legacy: bool = False) -> Tensor:
    """IoU of boxes a [..., 4] with boxes b [..., 4], pair by pair -> [...]; leading dimensions broadcast."""
    wh = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    inter = (wh + 1 if legacy else wh).clamp(min=0).prod(-1)
    union = sides(a, legacy).prod(-1) + sides(b, legacy).prod(-1) - inter
    return inter / union.clamp(min=_MIN_UNION)


def giou_loss(pred: Tensor, target: Tensor, eps: str = "add") -> Tensor:
    """1 - GIoU of predicted and target boxes, both [..., 4] -> [...]: L_IoU of Eq. 3 and of section 4.1 of the paper.

    Never with the legacy +1, in the authors' code either. eps "add" adds 1e-7 to union and enclosing area (authors'
    code), "max" raises both to 1e-6 (MMDetection). A predicted far corner before the near one counts as lying on it.
    """
    near, far = pred[..., :2], torch.maximum(pred[..., :2], pred[..., 2:])
    target_near, target_far = target[..., :2], target[..., 2:]
    # relu and not clamp: in every version of torch its gradient is 0 where boxes only touch, as where they are apart
    inter = (torch.minimum(far, target_far) - torch.maximum(near, target_near)).relu()
    enclosing = torch.maximum(far, target_far) - torch.minimum(near, target_near)
    wh = torch.stack((inter, enclosing, far - near, target_far - target_near))
    inter, enclosing, area, target_area = (wh[..., 0] * wh[..., 1]).unbind()
    union = area + target_area - inter
    if eps == "add":
        union, enclosing = union + 1e-7, enclosing + 1e-7
    else:
        union, enclosing = union.clamp(min=1e-6), enclosing.clamp(min=1e-6)
    return 1 - (inter / union - (enclosing - union) / enclosing)


def clip(boxes: Tensor, sizes: Tensor, legacy: bool = False) -> Tensor:
    """Boxes [..., N, 4] cut to images of sizes [..., 2] (h, w): to [0, w] x [0, h], in legacy to w - 1 and h - 1."""
    limit = (sizes.to(boxes) - (1 if legacy else 0)).flip(-1)
    limit = torch.cat((limit, limit), -1).unsqueeze(-2)
    return torch.minimum(boxes.clamp(min=0), limit)


@dataclass(eq=False)
class BoxCoder(Checked):
    """Deltas (dx, dy, dw, dh) of a box relative to an anchor, scaled by `weights` (Faster R-CNN's parametrization).

    legacy  inclusive-pixel sides.
    clamp   "upper": dw and dh are cut at ln(1000 / 16) before exp; "both": at minus that, too (MMDetection).
    weights of dx, dy, dw, dh, above 0.
    """

    legacy: bool = checked(flag, False)
    clamp: str = checked(choice, "upper", choices=("upper", "both"))
    weights: Sequence[float] = (10.0, 10.0, 5.0, 5.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for i, weight in enumerate(sequence("weights", self.weights, "four numbers, of dx, dy, dw and dh", 4)):
            number(f"weights[{i}]", weight, above=0)
        self._cached: dict[torch.device, Tensor] = {}

    def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Deltas [..., 4] that take anchors [..., 4] to boxes [..., 4]; -inf for a side of 0, which decodes to 0."""
        size = sides(anchors, self.legacy)
        shift = (centers(boxes) - centers(anchors)) / size
        ratio = torch.log(sides(boxes, self.legacy) / size)
        return torch.cat((shift, ratio), -1) * self._weights(anchors.device)

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """Boxes [..., 4] that deltas [..., 4] make of anchors [..., 4]; in float32, not clipped to any image."""
        deltas = deltas.float() / self._weights(deltas.device)
        size = sides(anchors, self.legacy)
        low = -MAX_LOG_RATIO if self.clamp == "both" else None
        wh = deltas[..., 2:].clamp(min=low, max=MAX_LOG_RATIO).exp() * size
        half = 0.5 * (wh - 1) if self.legacy else 0.5 * wh
        center = deltas[..., :2] * size + centers(anchors)
        return torch.cat((center - half, center + half), -1)

    def _weights(self, device: torch.device) -> Tensor:
        """The weights on the device, brought there once."""
        if device not in self._cached:
            self._cached[device] = torch.tensor(self.weights, dtype=torch.float32, device=device)
        return self._cached[device]
