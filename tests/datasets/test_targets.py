from dataclasses import replace

import numpy as np
import pytest
import torch
from coco_files import content, write

from paa.checks import OutOfRange
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.targets import training_boxes, training_images


@pytest.fixture
def odd(tmp_path):
    """One image of 100 x 80 with a box for every rule, one with a crowd alone, one of 20 x 90 with a good box."""
    boxes = [
        [10, 20, 30, 40],  # plain
        [90, 70, 20, 20],  # reaches out to the lower right
        [-5, -5, 10, 10],  # reaches out to the upper left
        [100, 10, 5, 5],  # outside, touching
        [99, 10, 5, 5],  # its last column alone
        [10, 10, 0, 5],  # no width
        [10, 10, 1, 5],  # one pixel wide
        [10, 10, 0.5, 5],  # half a pixel wide
        [10, 10, -3, 5],  # turned
        [1, 1, 50, 50],  # a crowd
    ]
    data = content()
    data["images"] = [
        {"id": 1, "file_name": "a.png", "width": 100, "height": 80},
        {"id": 2, "file_name": "b.png", "width": 100, "height": 80},
        {"id": 3, "file_name": "c.png", "width": 20, "height": 90},
    ]
    data["annotations"] = [
        {"id": i, "image_id": 1, "category_id": 3, "bbox": [i, 0, 1, 1], "iscrowd": int(i == 9)} for i in range(10)
    ]
    data["annotations"] += [
        {"id": 20, "image_id": 2, "category_id": 3, "bbox": [1, 1, 9, 9], "area": 9, "iscrowd": 1},
        {"id": 21, "image_id": 3, "category_id": 90, "bbox": [1, 2, 9, 9], "area": 0, "iscrowd": 0},
    ]
    index = CocoIndex.read(write(tmp_path, data, pictures=False), tmp_path)
    rows = np.array(boxes, dtype=np.float64)  # put in afterward: reading refuses some of them
    areas = np.concatenate([rows[:, 2] * rows[:, 3], index.areas[10:]])
    return replace(index, boxes=np.concatenate([rows, index.boxes[10:]]), areas=areas)


def test_plain_by_hand(odd):
    truths = training_boxes(odd)
    boxes, labels = truths.of(0)
    assert boxes.tolist() == [
        [10, 20, 40, 60],
        [90, 70, 100, 80],
        [0, 0, 5, 5],
        [99, 10, 100, 15],
        [10, 10, 11, 15],
        [10, 10, 10.5, 15],
    ]
    assert boxes.dtype == torch.float32
    assert labels.tolist() == [0] * 6
    assert truths.counts.tolist() == [6, 0, 1]
    assert (truths.crowds, truths.dropped) == (2, 3)
    assert truths.of(2)[1].tolist() == [2]


def test_legacy_by_hand(odd):
    truths = training_boxes(odd, legacy=True)
    assert truths.of(0)[0].tolist() == [[10, 20, 39, 59], [90, 70, 99, 79], [0, 0, 4, 4]]
    assert (truths.crowds, truths.dropped) == (2, 6)


def test_mmdet_by_hand(odd):
    truths = training_boxes(odd, rule="mmdet")
    assert truths.of(0)[0].tolist() == [
        [10, 20, 40, 60],
        [90, 70, 100, 80],
        [0, 0, 5, 5],
        [99, 10, 100, 15],
        [10, 10, 11, 15],
    ]
    assert truths.counts.tolist() == [5, 0, 0]  # the stored area of the last one is 0


def test_images_to_train_on(odd):
    truths = training_boxes(odd)
    assert training_images(odd, truths).tolist() == [0, 1, 2]
    assert training_images(odd, truths, empty_images="drop").tolist() == [0, 2]
    assert training_images(odd, truths, min_side=32).tolist() == [0, 1]
    assert training_images(odd, truths, min_side=20).tolist() == [0, 1, 2]
    assert training_images(odd, training_boxes(odd, rule="mmdet"), empty_images="drop").tolist() == [0]


def test_an_image_with_crowds_alone_is_annotated(odd):
    truths = training_boxes(odd, rule="mmdet")
    assert truths.counts.tolist() == [5, 0, 0]
    assert training_images(odd, truths, empty_images="unannotated").tolist() == [0, 1, 2]
    bare = replace(odd, offsets=np.array([0, len(odd.boxes), len(odd.boxes), len(odd.boxes)]))
    assert training_images(bare, training_boxes(bare), empty_images="unannotated").tolist() == [0]


def test_images_whose_boxes_are_all_thin(odd):
    """Crowds count as the others do, and one box of more than a pixel saves its image."""
    thin = odd.boxes.copy()
    thin[10:, 2] = [1, 1.001]  # the crowd of the second image, the box of the third
    index = replace(odd, boxes=thin)
    truths = training_boxes(index)
    assert training_images(index, truths, degenerate_boxes="drop").tolist() == [0, 2]
    assert training_images(index, truths).tolist() == [0, 1, 2]
    none = replace(index, offsets=np.array([0, 0, len(thin), len(thin)]))  # nothing is not thin
    assert training_images(none, training_boxes(none), degenerate_boxes="drop").tolist() == [0, 1, 2]


@pytest.mark.parametrize("w", [1.0, 0.5, 0.0])
def test_with_the_plus_one_thin_boxes_are_gone_before(odd, w):
    """So that images.degenerate_boxes changes nothing there beside images.empty=drop."""
    boxes = odd.boxes.copy()
    boxes[10:, 2] = w
    index = replace(odd, boxes=boxes)
    truths = training_boxes(index, legacy=True)
    for thin in ("keep", "drop"):
        assert training_images(index, truths, empty_images="drop", degenerate_boxes=thin).tolist() == [0]


def test_arguments_are_checked(odd):
    with pytest.raises(OutOfRange, match="rule=coco: must be one of clip, mmdet"):
        training_boxes(odd, rule="coco")
    with pytest.raises(OutOfRange, match="legacy=1: must be true or false"):
        training_boxes(odd, legacy=1)
    with pytest.raises(OutOfRange, match="empty_images=some: must be one of keep, drop, unannotated"):
        training_images(odd, training_boxes(odd), empty_images="some")
    with pytest.raises(OutOfRange, match="degenerate_boxes=1: must be one of keep, drop"):
        training_images(odd, training_boxes(odd), degenerate_boxes=1)
    with pytest.raises(OutOfRange, match="min_side=-1"):
        training_images(odd, training_boxes(odd), min_side=-1)


def _literal(index, i, legacy):
    """One image's boxes written out, one box at a time, as the authors' loader does it in float32 tensors."""
    kept = []
    width, height = int(index.widths[i]), int(index.heights[i])
    for at in range(index.offsets[i], index.offsets[i + 1]):
        if index.crowd[at]:
            continue
        x, y, w, h = torch.as_tensor(index.boxes[at], dtype=torch.float32 if legacy else torch.float64)
        if legacy:
            corners = [x, y, x + (w - 1).clamp(min=0), y + (h - 1).clamp(min=0)]
            bounds = [width - 1, height - 1]
        else:
            corners, bounds = [x, y, x + w, y + h], [width, height]
        corners = [c.clamp(min=0, max=bounds[k % 2]) for k, c in enumerate(corners)]
        if corners[3] > corners[1] and corners[2] > corners[0]:
            kept.append([float(c.float()) for c in corners])
    return kept


@pytest.mark.parametrize("legacy", [False, True])
def test_real_boxes_against_a_literal_loop(shared, legacy):
    for name in ("coco_tiny100", "bccd"):
        path = shared / "data" / name / "annotations" / "train.json"
        index = CocoIndex.read(path, path.parent)
        truths = training_boxes(index, legacy=legacy)
        for i in range(len(index)):
            assert truths.of(i)[0].tolist() == _literal(index, i, legacy)
        assert truths.crowds == index.crowd.sum()
        assert len(truths.boxes) + truths.crowds + truths.dropped == len(index.boxes)
        assert np.array_equal(truths.counts, np.diff(truths.offsets))
