"""The anchor grid: one square anchor per location of every pyramid level (paper, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from paa import checks
from paa.checks import Checked, checked, choice, flag, number
from paa.structures import Anchors

Shapes = tuple[tuple[int, int], ...]

_KEPT = 64
"""Grids that are kept, those of the last sizes of input: a test at many scales meets hundreds, of megabytes each."""


@dataclass(eq=False)
class AnchorGrid(Checked):
    """Makes the anchors of a batch.

    scale    side of an anchor in strides of its level (Table 4 varies it).
    strides  of the pyramid levels, pixels, fine to coarse.
    center   where in its cell an anchor is centerd, in strides: 0.5 (authors' code), 0 (MMDetection, torchvision).
    legacy   sides of scale * stride in the inclusive-pixel convention: center +- (side - 1) / 2 (authors' code).
    padding  which anchors over the padding of an image take part in its training: "out": those whose center lies in
             the image; "negative": all (authors' code); "out_32": on each level the cells that cover the image's size
             rounded up to 32 (MMDetection).
    """

    scale: float = checked(number, 8.0, above=0)
    strides: Sequence[int] = (8, 16, 32, 64, 128)
    center: float = checked(number, 0.5, low=0, high=1)
    legacy: bool = checked(flag, False)
    padding: str = checked(choice, "out", choices=("out", "negative", "out_32"))

    def __post_init__(self) -> None:
        super().__post_init__()
        strides = checks.sequence("strides", self.strides, "a list of integers that ascend")
        self.strides = tuple(checks.integer(f"strides[{i}]", s, low=1) for i, s in enumerate(strides))
        if not self.strides or list(self.strides) != sorted(set(self.strides)):
            raise checks.OutOfRange("strides", f"={list(strides)}: must be one or more integers that ascend")
        self._cached: dict[tuple[Shapes, torch.device], tuple[Tensor, Tensor, Tensor, Tensor]] = {}

    def __call__(
        self, shapes: Shapes, sizes: Tensor, padded: tuple[int, int], device: torch.device | str = "cpu"
    ) -> Anchors:
        """Anchors of images of `sizes` [B, 2] (h, w), padded to `padded` (H, W), on levels of `shapes` (rows, columns).

        Raises ValueError where the levels' shapes are not those of the padded size.
        """
        device = torch.device(device)
        shapes = tuple((int(h), int(w)) for h, w in shapes)
        self._check(shapes, padded)
        boxes, level, cells, stride = self._grid(shapes, device)
        sizes = sizes.to(device, non_blocking=True)
        return Anchors(boxes, level, self._inside(sizes, cells, stride), shapes, tuple(self.strides))

    def _check(self, shapes: Shapes, padded: tuple[int, int]) -> None:
        if len(shapes) != len(self.strides):
            raise ValueError(f"{len(shapes)} pyramid levels for {len(self.strides)} strides {list(self.strides)}")
        for shape, stride in zip(shapes, self.strides, strict=True):
            right = (-(-int(padded[0]) // stride), -(-int(padded[1]) // stride))
            if shape != right:
                raise ValueError(
                    f"the level of stride {stride} has {shape[0]} x {shape[1]} cells;"
                    f" an input of {padded[0]} x {padded[1]} pixels makes {right[0]} x {right[1]}"
                )

    def _grid(self, shapes: Shapes, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Boxes [A, 4], level [A], cell (row, column) [A, 2] and stride [A] of every anchor; made once per shape."""
        key = (shapes, device)
        if key in self._cached:
            self._cached[key] = self._cached.pop(key)  # the last one now
        else:
            boxes, cells = [], []
            for (rows, columns), stride in zip(shapes, self.strides, strict=True):
                y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
                cell = torch.stack((y, x), -1).view(-1, 2)
                middle = (cell.flip(-1).float() + self.center) * stride
                half = (self.scale * stride - (1 if self.legacy else 0)) / 2
                boxes.append(torch.cat((middle - half, middle + half), -1))
                cells.append(cell)
            counts = torch.tensor([len(c) for c in cells])
            level = torch.arange(len(cells)).repeat_interleave(counts)
            stride_of = torch.tensor(self.strides).repeat_interleave(counts)
            made = (torch.cat(boxes), level, torch.cat(cells), stride_of)
            if len(self._cached) == _KEPT:
                del self._cached[next(iter(self._cached))]
            self._cached[key] = tuple(t.to(device) for t in made)  # type: ignore[assignment]
        return self._cached[key]

    def _inside(self, sizes: Tensor, cells: Tensor, stride: Tensor) -> Tensor:
        """Which anchors [A] take part on images of `sizes` [B, 2] -> bool [B, A]."""
        if self.padding == "negative":
            return torch.ones((), dtype=torch.bool, device=cells.device).expand(len(sizes), len(cells))
        sizes, stride = sizes.unsqueeze(1), stride.unsqueeze(-1)
        if self.padding == "out":
            return ((cells + self.center) * stride < sizes).all(-1)
        rounded = torch.div(sizes + 31, 32, rounding_mode="floor") * 32
        return (cells * stride < rounded).all(-1)
