"""Labels: above their box and inside of the image."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from paa.drawing.labels import draw_labels

HEIGHT, WIDTH, INCHES = 300, 360, 3.0


def labels(boxes, points=6.0):
    """Extents (x1, y1, x2, y2) in pixels of the image of the labels of boxes, as they are drawn."""
    figure = Figure(figsize=(INCHES * WIDTH / HEIGHT, INCHES), dpi=HEIGHT / INCHES)
    canvas = FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    texts = [f"ox {i} $1" for i in range(len(boxes))]
    tints = ["#0072B2"] * len(boxes)
    draw_labels(axis, np.array(boxes, float), texts, tints, shape=(HEIGHT, WIDTH), inches=INCHES, points=points)
    canvas.draw()
    found = [text.get_window_extent() for text in axis.texts]
    return [(box.x0, HEIGHT - box.y1, box.x1, HEIGHT - box.y0) for box in found]


def test_a_label_is_above_its_box():
    ((left, _, right, bottom), (other_left, _, other_right, _)) = labels([[60, 120, 120, 200], [240, 120, 300, 200]])
    assert abs(left - 60) < 4
    assert abs(other_right - 300) < 4
    assert right > left
    assert other_left < other_right
    assert 100 < bottom < 121


def test_labels_stay_in_the_image():
    for x1, y1, x2, y2 in labels([[0, 0, 360, 300], [-15, -15, 30, 15], [330, 0, 360, 300], [0, 6, 15, 297]]):
        assert (x1 > -2, y1 > -2, x2 < 362, y2 < 302) == (True,) * 4


def test_dollars_make_no_formula():
    assert labels([[60, 120, 120, 200]])[0][3] > 0
