import math
from collections import deque

import numpy as np
import pytest
from shapes_reference import FIRST_40, STATISTICS, STATISTICS_300, digest_of_scenes, scenes, statistics

from paa.datasets.shapes.forms import FORMS, HUE_SPREAD, block
from paa.datasets.shapes.generate import Spec
from paa.datasets.shapes.raster import DIRECTIONS, HUES, blotches, rgb, turned_grid, window
from paa.datasets.shapes.scene import CLASSES, draw


@pytest.fixture(scope="module")
def first() -> list:
    return list(scenes(Spec(train=300), "train"))


def test_pixels_and_annotations_are_the_committed_ones():
    assert digest_of_scenes(Spec(train=40), "train") == FIRST_40


def test_statistics_are_the_committed_ones(first):
    assert statistics(first) == STATISTICS_300


@pytest.mark.parametrize("numbers", [STATISTICS, STATISTICS_300], ids=["all", "first 300"])
def test_the_data_set_is_hard_in_the_ways_that_it_claims(numbers):
    assert numbers["classes"] >= 8
    assert numbers["rarest_class"] > 0.08
    assert numbers["largest"] > 10 * numbers["smallest"]
    assert numbers["small"] >= 1 / 3
    assert numbers["hollow"] >= 1 / 4
    assert numbers["crowded"] >= 0.3
    assert (numbers["fewest_objects"], numbers["most_objects"]) == (1, 12)
    assert numbers["occluded"] > 0.15
    assert numbers["thin"] > 0.1
    assert numbers["longest_box_aspect"] >= 6


def test_an_image_is_a_function_of_its_own_key():
    alone, again = draw(3, "val", 17), list(scenes(Spec(seed=3, val=18), "val"))[17]
    assert np.array_equal(alone.pixels, again.pixels)
    assert np.array_equal(alone.boxes, again.boxes)
    others = [draw(4, "val", 17), draw(3, "train", 17), draw(3, "val", 18)]
    assert not any(np.array_equal(alone.pixels, other.pixels) for other in others)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_what_is_labeled_can_be_seen(size):
    for index in range(12):
        scene = draw(1, "train", index, size)
        assert scene.pixels.shape == (size, size, 3)
        assert scene.pixels.dtype == np.uint8
        x, y, w, h = scene.boxes.T
        assert (x >= 0).all()
        assert (y >= 0).all()
        assert (x + w <= size).all()
        assert (y + h <= size).all()
        assert (128 * np.maximum(w, h) >= 8 * size).all()
        assert (scene.areas * 5 >= scene.canvas.forms[1:] * 2).all()
        assert (scene.areas <= w * h).all()
        assert all(a.dtype == np.int64 for a in (scene.boxes, scene.labels, scene.areas))


def test_the_last_object_is_where_its_box_says(first):
    """Nothing but specks is painted over the last object: its hue fills its area, and its box closely."""
    checked = 0
    for scene in first[:60]:
        (x, y, w, h), label = scene.boxes[-1], int(scene.labels[-1])
        inside = scene.pixels[y : y + h, x : x + w].astype(int)
        hit = _hue_distance(inside, FORMS[label].degrees) <= HUE_SPREAD + 8
        vivid = np.ptp(inside, axis=2) * 3 >= inside.max(axis=2)
        assert (hit & vivid).sum() >= 0.85 * scene.areas[-1]
        checked += 1
    assert checked == 60


def _hue_distance(pixels: np.ndarray, degrees: int) -> np.ndarray:
    r, g, b = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    hue = np.degrees(np.arctan2(math.sqrt(3) * (g - b), 2 * r - g - b))  # within 2 degrees of the hexagonal hue
    return np.abs((hue - degrees + 180) % 360 - 180)


def test_directions_are_exact_rotations_around_the_circle():
    assert all(p * p + q * q == r * r for p, q, r in DIRECTIONS)
    turns = sorted(math.atan2(q, p) for p, q, _ in DIRECTIONS)
    gaps = np.diff([*turns, turns[0] + 2 * math.pi])
    assert len(turns) == len(set(turns)) == 60
    assert math.degrees(gaps.max()) < 13


@pytest.mark.parametrize("odd", [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize("diameter", [9, 16, 33])
def test_turned_grid_is_the_rotation_of_pixel_centers(diameter, odd):
    p, q, r = direction = (4, 3, 5)
    u, v = turned_grid(diameter, odd, direction)
    n = window(diameter)
    for row in range(n):
        for column in range(n):
            x, y = 2 * (column + 0.5) - n - odd[0], 2 * (row + 0.5) - n - odd[1]
            turn = math.atan2(q, p)
            assert u[row, column] / r == pytest.approx(x * math.cos(turn) + y * math.sin(turn))
            assert v[row, column] / r == pytest.approx(-x * math.sin(turn) + y * math.cos(turn))


@pytest.mark.parametrize("form", FORMS, ids=CLASSES)
def test_forms_stay_in_their_window_and_hold_together(form):
    for diameter in (8, 9, 10, 13, 24, 61):
        for direction in DIRECTIONS[::7]:
            u, v = turned_grid(diameter, (diameter % 2, 1), direction)
            for k in range(0, 250, 50):
                mask = form.mask(u, v, diameter * direction[2], direction[2], k)
                edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
                assert mask.any()
                assert not edge.any()
                assert _largest_piece(mask) >= 0.85 * mask.sum()  # tips of crescents may come off


def _largest_piece(mask: np.ndarray) -> int:
    left, largest = {(int(y), int(x)) for y, x in np.argwhere(mask)}, 0
    while left:
        queue, piece = deque([left.pop()]), 0
        while queue:
            (y, x), piece = queue.popleft(), piece + 1
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            queue.extend(near)
        largest = max(largest, piece)
    return largest


@pytest.mark.parametrize("name", ["ring", "angle", "frame", "crescent"])
def test_hollow_forms_leave_the_center_of_their_box_free(name):
    form = FORMS[CLASSES.index(name)]
    free = total = 0
    for diameter in range(10, 60, 7):
        for direction in DIRECTIONS:
            u, v = turned_grid(diameter, (0, 1), direction)
            mask = form.mask(u, v, diameter * direction[2], direction[2], diameter)
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            free += not mask[(rows[0] + rows[-1] + 1) // 2, (columns[0] + columns[-1] + 1) // 2]
            total += 1
    assert free >= 0.75 * total


def test_block_belongs_to_no_class():
    assert block not in {form.mask for form in FORMS}


def test_colors_by_hand():
    assert [rgb(256 * k, 255, 200) for k in range(6)] == [
        (200, 0, 0),
        (200, 200, 0),
        (0, 200, 0),
        (0, 200, 200),
        (0, 0, 200),
        (200, 0, 200),
    ]
    assert rgb(-256, 255, 200) == rgb(HUES - 256, 255, 200)
    assert rgb(700, 0, 90) == (90, 90, 90)


def test_blotches_interpolate_between_nodes():
    nodes = np.array([[0, 80, 0], [0, 80, 0], [0, 80, 0]])
    out = blotches(16, 8, nodes)
    assert out.shape == (16, 16)
    assert (out == out[0]).all()
    assert out[0].tolist() == [80 * (2 * x + 1) // 16 for x in range(8)] + [80 * (15 - 2 * x) // 16 for x in range(8)]
