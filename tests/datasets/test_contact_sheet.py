import warnings

import numpy as np
from coco_files import content, write
from PIL import Image

from paa.datasets.contact_sheet import write_contact_sheet
from paa.datasets.formats.coco_index import CocoIndex


def test_sheet_shows_boxes_and_appears_whole(tmp_path):
    index = CocoIndex.read(write(tmp_path, content()), tmp_path / "images")
    path = write_contact_sheet(index, tmp_path / "out" / "sheet.png", 24, columns=2, tile=96)
    assert [p.name for p in path.parent.iterdir()] == ["sheet.png"]
    page = np.asarray(Image.open(path))
    assert page.shape == (200, 200, 3)
    top = page[2, 30:46]  # upper edge of the crowd box, drawn in white on the noise of the first image
    assert (top == 255).all()
    assert (page[150:, 110:] == 24).all()  # there is no fourth image


def test_sheet_takes_as_many_as_asked(tmp_path):
    index = CocoIndex.read(write(tmp_path, content()), tmp_path / "images")
    assert Image.open(write_contact_sheet(index, tmp_path / "s.png", 1, columns=1, tile=50)).size == (54, 54)


def test_a_box_may_reach_any_number_of_pixels_over_the_edge(tmp_path):
    data = content()
    pages = []
    for reach in (1e3, 1e299):  # drawn alike: to the edge of the image
        data["annotations"][0]["bbox"] = [1, 1, reach, reach]
        index = CocoIndex.read(write(tmp_path, data), tmp_path / "images")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pages.append(np.asarray(Image.open(write_contact_sheet(index, tmp_path / "s.png", 4, tile=50))))
    assert np.array_equal(*pages)
