"""Data classes passed between the parts of the detector.

Legend: B images, A anchors over all levels, C classes, G ground-truth boxes of an image (padded to the
batch's largest), L pyramid levels. Boxes are xyxy in pixels of the network's input, float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

NEGATIVE = -1
"""`Assignment.gt_index` of an anchor that is trained as background."""

IGNORED = -2
"""`Assignment.gt_index` of an anchor that takes no part in the loss."""


@dataclass(frozen=True)
class Anchors:
    """The anchor grid of a batch; every image of it has the same padded size.

    boxes   [A, 4] float32, levels fine to coarse, each row-major (y, then x).
    level   [A] int64, pyramid level of each anchor, 0 the finest.
    inside  [B, A] bool, whether the anchor takes part in training on that image (padding policy).
    shapes  per level (rows, columns).
    strides per level, pixels.
    """

    boxes: Tensor
    level: Tensor
    inside: Tensor
    shapes: tuple[tuple[int, int], ...]
    strides: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Anchors per level."""
        return tuple(h * w for h, w in self.shapes)


@dataclass(frozen=True)
class Predictions:
    """Raw outputs of the head, flattened in the anchors' order.

    logits [B, A, C], deltas [B, A, 4], auxiliary [B, A] (logit of the IoU or the centerness) or None.
    """

    logits: Tensor
    deltas: Tensor
    auxiliary: Tensor | None = None


@dataclass(frozen=True)
class Targets:
    """Ground truth of a batch, padded: boxes [B, G, 4] float32, labels [B, G] int64 from 0, valid [B, G] bool."""

    boxes: Tensor
    labels: Tensor
    valid: Tensor

    @classmethod
    def pad(cls, boxes: list[Tensor], labels: list[Tensor]) -> Targets:
        """Join boxes [G_i, 4] float32 and labels [G_i] int64 of one or more images; G is at least 1, never 0."""
        if len(boxes) != len(labels):
            raise ValueError(f"{len(boxes)} images have boxes but {len(labels)} have labels")
        counts = torch.tensor([len(of_image) for of_image in boxes], device=boxes[0].device).unsqueeze(1)
        row = boxes[0].new_zeros(1, 4, dtype=torch.float32)  # of one image more, which makes G at least 1
        padded = pad_sequence([*boxes, row], batch_first=True)[:-1]
        classes = pad_sequence([*labels, row[:, 0].long()], batch_first=True)[:-1]
        return cls(padded, classes, torch.arange(padded.shape[1], device=row.device) < counts)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Targets:
        """Return the same targets on another device."""
        boxes, labels, valid = (t.to(device, non_blocking=non_blocking) for t in (self.boxes, self.labels, self.valid))
        return Targets(boxes, labels, valid)


@dataclass(frozen=True)
class Assignment:
    """Assign anchors to ground truths.

    A hard assigner returns gt_index only; a soft one also any of the three that follow it, float32 or None.

    gt_index       [B, A] int64: index into the image's ground truths, or NEGATIVE (-1), or IGNORED (-2).
    quality        [B, A] in [0, 1]: class target of the positives, for every class loss but "focal"; None: the IoU of
                   the predicted box. What it says of other anchors means nothing.
    box_weights    [B, A]: factors of the box loss of the positives.
    class_weights  [B, A], or [B, A, C] where classes of an anchor differ: factors of the class loss.
    extras         whatever a figure wants: scores, candidates, mixture parameters. Never read by the loss.
    """

    gt_index: Tensor
    quality: Tensor | None = None
    box_weights: Tensor | None = None
    class_weights: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)

    @property
    def positive(self) -> Tensor:
        """[B, A] bool."""
        return self.gt_index >= 0


@dataclass(frozen=True)
class Batch:
    """A training or test batch.

    images       [B, 3, H, W] float32, normalized, zero-padded to a multiple of 32 (after normalization).
    sizes        [B, 2] int64 (h, w) of each image inside its padding.
    original     [B, 2] int64 (h, w) of the image as stored: detections are scaled back to it.
    targets      crowds left out.
    image_ids    of the annotation file.
    """

    images: Tensor
    sizes: Tensor
    original: Tensor
    targets: Targets
    image_ids: tuple[int, ...]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Return the same batch on another device; sizes and original stay where the loader put them."""
        images = self.images.to(device, non_blocking=non_blocking)
        return Batch(images, self.sizes, self.original, self.targets.to(device, non_blocking), self.image_ids)


@dataclass(frozen=True)
class Detections:
    """Detections of one image: boxes [D, 4], scores [D] (unified), labels [D] from 0, quality [D].

    quality is the predicted IoU (or centerness) of the box, in [0, 1]; NaN where there is no auxiliary head.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    quality: Tensor

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: Tensor) -> Detections:
        """Return those at the positions `rows` [M] int64, or where `rows` [D] bool holds."""
        return Detections(self.boxes[rows], self.scores[rows], self.labels[rows], self.quality[rows])

    @classmethod
    def join(cls, parts: Sequence[Detections]) -> Detections:
        """Join the detections of all parts, one or more, in order."""
        return cls(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)))
