"""What is in a split: counts, sizes, colors, what is wrong, and which ground truths no anchor can match.

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
from paa.datasets.image_scan import ImageInfo
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
    """Looks through a split that was read with on_invalid="drop".

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
        shares=_shares(areas),
        unmatched=len(poor),
        first_unmatched=_named(index, truths, image, int(poor[0]), float(best[poor[0]])) if len(poor) else "",
        colors=dict(Counter(fact.colors for fact in known)),
        tagged=dict(sorted(Counter(fact.orientation for fact in known if fact.orientation > 1).items())),
        turned=dict(sorted(Counter(turn for _, turn in applied_orientations(index, known)).items())) if known else {},
        invalid=index.invalid,
    )


def best_iou(boxes: Tensor, image: np.ndarray, sizes: np.ndarray, grid: AnchorGrid) -> np.ndarray:
    """[G] the largest IoU of each box with the anchors of its image, which the padding is not part of.

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


def _shares(areas: np.ndarray) -> tuple[float, float, float]:
    if not len(areas):
        return 0.0, 0.0, 0.0
    small, large = float((areas < SMALL).mean()), float((areas >= MEDIUM).mean())
    return small, 1 - small - large, large


def _named(index: CocoIndex, truths: TrainingBoxes, image: np.ndarray, row: int, iou: float) -> str:
    i = int(image[row])
    x1, y1, x2, y2 = truths.boxes[row].tolist()
    box = f"[{x1:g}, {y1:g}, {x2 - x1:g}, {y2 - y1:g}]"
    return f"{box} of image id {int(index.image_ids[i])}, {index.file_names[i]}: best IoU {iou:.3f}"


def format_survey(one: Survey, floor: float, size: Callable[[], str]) -> list[str]:
    """A survey as text; `size` tells what the network's input is."""
    with_boxes = sorted((c for c in one.classes if c[1]), key=lambda c: -c[1])
    without = [name for name, count in one.classes if not count]
    total = max(one.boxes, 1)
    of_area = f", {one.no_area} without area (dropped)" if one.no_area else ""
    rows = [
        ("images", f"{one.images}, {one.empty} without a box; longer side {_range(one.sides)} pixels"),
        ("boxes", f"{one.boxes}, {one.crowds} crowds{of_area}"),
        ("classes", f"{len(one.classes)}: {_few([f'{n} {c}' for n, c in with_boxes])}"),
        *([("", f"without a box: {', '.join(without)}")] if without else []),
        ("sizes", "small {:.0%}, medium {:.0%}, large {:.0%}".format(*one.shares) + f" at {size()}"),
        ("no anchor", _unmatched(one, floor, total)),
    ]
    if one.colors:
        rows.append(("colors", _few([f"{mode} {n}" for mode, n in sorted(one.colors.items())])))
        rows.append(("EXIF", _exif(one)))
    rows += [("invalid" if at == 0 else "", f"{f.count} {f.kind}") for at, f in enumerate(one.invalid)]
    text = [f"  {name:<10}{value}" for name, value in rows]
    for at, finding in enumerate(one.invalid, start=len(text) - len(one.invalid)):
        text[at] += f"; first: {finding.first}"
    return text if one.invalid else [*text, f"  {'invalid':<10}nothing"]


def _unmatched(one: Survey, floor: float, total: int) -> str:
    does = "overlaps it" if floor == 0 else f"reaches IoU {floor:g} with it"
    if not one.unmatched:
        return f"none: every box has an anchor that {does}"
    return f"{one.unmatched} boxes ({one.unmatched / total:.1%}), no anchor {does}; first: {one.first_unmatched}"


def _exif(one: Survey) -> str:
    if not one.tagged:
        return "no image states an orientation"
    stated = ", ".join(f"{number} in {count}" for number, count in one.tagged.items())
    return f"orientation {stated} images; {sum(one.turned.values())} images are turned"


def _range(sides: tuple[int, int, int]) -> str:
    return f"{sides[0]}" if sides[0] == sides[2] else f"{sides[0]} to {sides[2]}, median {sides[1]}"


def _few(texts: Sequence[str], most: int = 20) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more if texts else "none"
