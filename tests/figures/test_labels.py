"""Tags: inside of the image, off one another and off marks where there is room."""

from __future__ import annotations

import numpy as np

from paa.drawing.labels import places

SHAPE, LINE = (100, 120), 10.0


def rectangles(boxes, widths, **more):
    at = places(np.array(boxes, dtype=float), np.array(widths, dtype=float), LINE, SHAPE, **more)
    return [(x, y - LINE, x + wide, y) for (x, y), wide in zip(at, widths, strict=True)]


def overlap(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def test_a_tag_stands_above_its_box():
    assert rectangles([[20, 40, 60, 80]], [30]) == [(20, 30, 50, 40)]


def test_tags_stay_in_the_image():
    boxes = [[0, 0, 120, 100], [-5, -5, 10, 5], [110, 90, 120, 100], [0, 2, 5, 99]]
    for x1, y1, x2, y2 in rectangles(boxes, [40, 40, 40, 200]):
        assert y1 >= 0
        assert y2 <= 100
        assert x1 >= 0
        assert x2 <= 120 or x2 - x1 == 200  # wider than the image


def test_tags_of_the_same_box_do_not_cover_one_another():
    found = rectangles([[20, 40, 60, 80]] * 6, [30] * 6)
    assert not any(overlap(a, b) for i, a in enumerate(found) for b in found[:i])


def test_a_tag_leaves_marks_free():
    marks = np.array([[25.0, 35], [55, 35], [30, 85]])
    ((x1, y1, x2, y2),) = rectangles([[20, 40, 60, 80]], [30], marks=marks)
    assert not ((marks > (x1, y1)) & (marks < (x2, y2))).all(1).any()


def test_no_boxes_have_no_tags():
    assert places(np.zeros((0, 4)), np.zeros(0), LINE, SHAPE).shape == (0, 2)
