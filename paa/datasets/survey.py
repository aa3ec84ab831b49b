"""Survey a split: counts, sizes, colors, what is wrong, and which ground truths no anchor can match.

Legend: G boxes that training sees. Sizes are those at the network's input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from paa.anchors import AnchorGrid
from paa.boxes import iou_matrix
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.image_scan import applied_orientations
from paa.datasets.images import ImageInfo
from paa.datasets.progress import track
from paa.datasets.targets import TrainingBoxes, training_boxes
from paa.datasets.transforms import Transform

SMALL, MEDIUM = 32**2, 96**2
"""COCO's bounds of areas, pixels: below the first is small, from the second on large."""

_PAIRS = 20_000_000  # IoUs that are held at a time


def survey(
    index: CocoIndex,
    known: Sequence[ImageInfo],
    transform: Transform,
    grid: AnchorGrid,
    floor: float,
    *,
    rule: str = "clip",
) -> list[str]:
    """Survey a split that was read with on_invalid="drop", as lines of text.

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
    small, medium, large = np.histogram(areas, [0, SMALL, MEDIUM, np.inf])[0] / max(len(areas), 1)
    longer = np.sort(np.maximum(index.widths, index.heights))
    sides = f"{longer[0]} to {longer[-1]}, median {longer[len(longer) // 2]}" if longer[0] < longer[-1] else longer[0]
    per_class = np.bincount(truths.labels.numpy(), minlength=index.classes).tolist()
    classes = sorted(zip(index.category_names, per_class, strict=True), key=lambda c: -c[1])
    without = [name for name, count in classes if not count]
    rows = [
        ("images", f"{len(index)}, {(np.diff(index.offsets) == 0).sum()} without a box; longer side {sides} pixels"),
        ("boxes", f"{len(boxes)}, {truths.crowds} crowds, {truths.dropped} without area (dropped)"),
        ("classes", f"{index.classes}: {_few([f'{name} {count}' for name, count in classes if count])}"),
        *([("", f"without a box: {', '.join(without)}")] if without else []),
        ("sizes", f"small {small:.0%}, medium {medium:.0%}, large {large:.0%} at {_input(transform)}"),
        ("no anchor", _unmatched(index, truths, image, best_iou(boxes, image, sizes, grid), floor)),
    ]
    if known:
        tagged = Counter(info.orientation for info in known if info.orientation > 1)
        stated = ", ".join(f"{orientation} in {count}" for orientation, count in sorted(tagged.items()))
        exif = f"orientation {stated} images; {len(applied_orientations(index, known))} images are turned"
        colors = sorted(Counter(info.colors for info in known).items())
        rows.append(("colors", _few([f"{mode} {count}" for mode, count in colors])))
        rows.append(("EXIF", exif if tagged else "no image states an orientation"))
    invalid = [f"{found.count} {found.kind}; first: {found.first}" for found in index.invalid] or ["nothing"]
    rows += [("invalid" if at == 0 else "", text) for at, text in enumerate(invalid)]
    return [f"  {name:<10}{value}" for name, value in rows]


def best_iou(boxes: Tensor, image: np.ndarray, sizes: np.ndarray, grid: AnchorGrid) -> np.ndarray:
    """Return [G]: the largest IoU of each box with the anchors of its image, which the padding is not part of.

    boxes [G, 4] xyxy at the network's input, image [G] int64 positions ascending, sizes [I, 2] (h, w) of the inputs.
    """
    best = np.zeros(len(boxes), dtype=np.float32)
    kinds, of_kind = np.unique(sizes, axis=0, return_inverse=True)
    kind_of = of_kind.reshape(-1)[image]
    for kind, (height, width) in enumerate(track(kinds.tolist(), "comparing boxes with anchors", len(kinds))):
        rows = np.flatnonzero(kind_of == kind)
        anchors = _anchors(grid, height, width)
        if not len(rows) or not len(anchors):  # an image of few pixels may hold no center of an anchor
            continue
        for part in np.array_split(rows, -(-len(rows) * len(anchors) // _PAIRS)):
            best[part] = iou_matrix(boxes[torch.from_numpy(part)], anchors, grid.legacy).amax(-1).numpy()
    return best


def _anchors(grid: AnchorGrid, height: int, width: int) -> Tensor:
    """Anchors [A, 4] of an image of this size at the network's input, without those in the padding."""
    padded = (-(-height // 32) * 32, -(-width // 32) * 32)
    shapes = tuple((-(-padded[0] // stride), -(-padded[1] // stride)) for stride in grid.strides)
    anchors = grid(shapes, torch.tensor([[height, width]]), padded)
    return anchors.boxes[anchors.inside[0]]


def _unmatched(index: CocoIndex, truths: TrainingBoxes, image: np.ndarray, best: np.ndarray, floor: float) -> str:
    """How many boxes no anchor matches, and which is the first of them; `best` is the IoU of each."""
    poor = np.flatnonzero(best <= 0 if floor == 0 else best < floor)
    does = "overlaps it" if floor == 0 else f"reaches IoU {floor:g} with it"
    if not len(poor):
        return f"none: every box has an anchor that {does}"
    row, i = poor[0], int(image[poor[0]])
    x1, y1, x2, y2 = truths.boxes[row].tolist()
    first = f"[{x1:g}, {y1:g}, {x2 - x1:g}, {y2 - y1:g}] of image id {index.image_ids[i]}, {index.file_names[i]}"
    share = f"{len(poor)} boxes ({len(poor) / len(best):.1%})"
    return f"{share}, no anchor {does}; first: {first}: best IoU {best[row]:.3f}"


def _input(transform: Transform) -> str:
    if not transform.shorts:
        return "the images' own size"
    longest = "" if transform.longest is None else f", longer side at most {transform.longest}"
    return f"short side {max(transform.shorts)}{longest}"


def _few(texts: Sequence[str], most: int = 20) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more if texts else "none"
