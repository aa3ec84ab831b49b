"""Survey a split: counts, sizes, colors, what is wrong, and which ground truths no anchor can match.

Legend: G boxes that training sees. Sizes are those at the network's input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from paa.anchors import AnchorGrid
from paa.boxes import iou_matrix
from paa.datasets.findings import Finding
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.image_check import applied_orientations
from paa.datasets.images import ImageInfo
from paa.datasets.progress import track
from paa.datasets.targets import TrainingBoxes, training_boxes
from paa.datasets.transforms import Transform

SMALL, MEDIUM = 32**2, 96**2
"""COCO's bounds of areas, pixels: below the first is small, from the second on large."""

_PAIRS = 20_000_000  # IoUs that are held at a time


@dataclass(frozen=True)
class Survey:
    """Counts of one split.

    images, empty, boxes, crowds, no_area: images; those without a box; boxes that are trained on, crowds, boxes that
        are dropped for having no area after clipping.
    sides       (smallest, median, largest) longer side of the images, pixels as stored.
    classes     (name, boxes) of each class.
    shares      of small, medium and large boxes.
    unmatched   boxes whose best IoU with any anchor is below the floor; first_unmatched names one, best_iou its IoU.
    colors     images of each PIL mode; turned: of each EXIF orientation that is applied; tagged: of each that is
                stated.
    invalid     what is wrong and was left out.
    """

    images: int
    empty: int
    boxes: int
    crowds: int
    no_area: int
    sides: tuple[int, int, int]
    classes: list[tuple[str, int]]
    shares: tuple[float, float, float]
    unmatched: int
    first_unmatched: str
    colors: dict[str, int] = field(default_factory=dict)
    tagged: dict[int, int] = field(default_factory=dict)
    turned: dict[int, int] = field(default_factory=dict)
    invalid: tuple[Finding, ...] = ()


def survey(
    index: CocoIndex,
    known: Sequence[ImageInfo],
    transform: Transform,
    grid: AnchorGrid,
    floor: float,
    *,
    rule: str = "clip",
) -> Survey:
    """Survey a split that was read with on_invalid="drop".

    known      what is known of the image files, of every image or of none.
    transform  gives the size at the network's input: of several short sides the largest.
    floor      least IoU at which an anchor can be a box's; 0 asks for any overlap at all.
    rule       which boxes are dropped, see `training_boxes`.
    """
    truths = training_boxes(index, legacy=transform.legacy, rule=rule)
    sizes = np.array([transform.size(h, w) for h, w in zip(index.heights.tolist(), index.widths.tolist(), strict=True)])
    image = np.repeat(np.arange(len(index)), truths.counts)
    factors = torch.from_numpy(np.stack([sizes[:, 1] / index.widths, sizes[:, 0] / index.heights], axis=1)).float()
    boxes = truths.boxes * factors[image].repeat(1, 2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1).numpy()
    best = best_iou(boxes, image, sizes, grid)
    poor = np.flatnonzero(best <= 0 if floor == 0 else best < floor)
    small, large = (float(part.sum() / max(len(areas), 1)) for part in (areas < SMALL, areas >= MEDIUM))
    longer = np.sort(np.maximum(index.widths, index.heights))
    per_class = np.bincount(truths.labels.numpy(), minlength=index.classes)
    return Survey(
        images=len(index),
        empty=int((np.diff(index.offsets) == 0).sum()),
        boxes=len(boxes),
        crowds=truths.crowds,
        no_area=truths.dropped,
        sides=(int(longer[0]), int(longer[len(longer) // 2]), int(longer[-1])),
        classes=list(zip(index.category_names, per_class.tolist(), strict=True)),
        shares=(small, 1 - small - large, large) if len(areas) else (0.0, 0.0, 0.0),
        unmatched=len(poor),
        first_unmatched=_named(index, truths, image, int(poor[0]), float(best[poor[0]])) if len(poor) else "",
        colors=dict(Counter(info.colors for info in known)),
        tagged=dict(sorted(Counter(info.orientation for info in known if info.orientation > 1).items())),
        turned=dict(sorted(Counter(turn for _, turn in applied_orientations(index, known)).items())) if known else {},
        invalid=index.invalid,
    )


def best_iou(boxes: Tensor, image: np.ndarray, sizes: np.ndarray, grid: AnchorGrid) -> np.ndarray:
    """Return [G]: the largest IoU of each box with the anchors of its image, which the padding is not part of.

    boxes [G, 4] xyxy at the network's input, image [G] int64 positions ascending, sizes [I, 2] (h, w) of the inputs.
    """
    best = np.zeros(len(boxes), dtype=np.float32)
    kinds, of_kind = np.unique(sizes, axis=0, return_inverse=True)
    kind_of = of_kind.reshape(-1)[image]
    for kind, (height, width) in enumerate(track(kinds.tolist(), "comparing boxes with anchors", len(kinds))):
        rows = np.flatnonzero(kind_of == kind)
        if not len(rows):
            continue
        anchors = _anchors(grid, height, width)
        for part in np.array_split(rows, -(-len(rows) * len(anchors) // _PAIRS)):
            best[part] = iou_matrix(boxes[torch.from_numpy(part)], anchors, grid.legacy).amax(-1).numpy()
    return best


def _anchors(grid: AnchorGrid, height: int, width: int) -> Tensor:
    """Anchors [A, 4] of an image of this size at the network's input, without those in the padding."""
    padded = (-(-height // 32) * 32, -(-width // 32) * 32)
    shapes = tuple((-(-padded[0] // stride), -(-padded[1] // stride)) for stride in grid.strides)
    anchors = grid(shapes, torch.tensor([[height, width]]), padded)
    return anchors.boxes[anchors.inside[0]]


def _named(index: CocoIndex, truths: TrainingBoxes, image: np.ndarray, row: int, iou: float) -> str:
    i = int(image[row])
    x1, y1, x2, y2 = truths.boxes[row].tolist()
    box = f"[{x1:g}, {y1:g}, {x2 - x1:g}, {y2 - y1:g}]"
    return f"{box} of image id {int(index.image_ids[i])}, {index.file_names[i]}: best IoU {iou:.3f}"


def format_survey(one: Survey, floor: float, size: Callable[[], str]) -> list[str]:
    """Return a survey as lines of text; `size` describes the network's input."""
    with_boxes = [f"{name} {count}" for name, count in sorted(one.classes, key=lambda c: -c[1]) if count]
    without = [name for name, count in one.classes if not count]
    small, middle, large = one.sides
    sides = f"{small}" if small == large else f"{small} to {large}, median {middle}"
    of_area = f", {one.no_area} without area (dropped)" if one.no_area else ""
    does = "overlaps it" if floor == 0 else f"reaches IoU {floor:g} with it"
    unmatched = f"none: every box has an anchor that {does}"
    if one.unmatched:
        part = one.unmatched / max(one.boxes, 1)
        unmatched = f"{one.unmatched} boxes ({part:.1%}), no anchor {does}; first: {one.first_unmatched}"
    rows = [
        ("images", f"{one.images}, {one.empty} without a box; longer side {sides} pixels"),
        ("boxes", f"{one.boxes}, {one.crowds} crowds{of_area}"),
        ("classes", f"{len(one.classes)}: {_few(with_boxes)}"),
        *([("", f"without a box: {', '.join(without)}")] if without else []),
        ("sizes", "small {:.0%}, medium {:.0%}, large {:.0%}".format(*one.shares) + f" at {size()}"),
        ("no anchor", unmatched),
    ]
    if one.colors:
        tagged = ", ".join(f"{number} in {count}" for number, count in one.tagged.items())
        exif = f"orientation {tagged} images; {sum(one.turned.values())} images are turned"
        rows.append(("colors", _few([f"{mode} {n}" for mode, n in sorted(one.colors.items())])))
        rows.append(("EXIF", exif if one.tagged else "no image states an orientation"))
    invalid = [f"{found.count} {found.kind}; first: {found.first}" for found in one.invalid] or ["nothing"]
    rows += [("invalid" if at == 0 else "", text) for at, text in enumerate(invalid)]
    return [f"  {name:<10}{value}" for name, value in rows]


def _few(texts: Sequence[str], most: int = 20) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more if texts else "none"
