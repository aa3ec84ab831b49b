"""What trainings cost: rows by hand, and the table that the documentation shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from analysis_scripts import script

from paa.config.compose import Composer
from paa.datasets.transforms import Transform
from paa.store.text_table import markdown

REPO = Path(__file__).resolve().parents[2]


cost = script("cost")


def test_pixels_by_hand():
    assert cost.padded((800, 1066)) == 800 * 1088
    assert cost.pixels(Transform(800, 1333, "truncate")) == 800 * 1088
    assert cost.pixels(Transform([640, 641], 1333, "truncate")) == (640 * 864 + 672 * 864) / 2
    assert cost.pixels(Transform(1800, 2000, "truncate")) == 1504 * 2016


def test_a_training_by_hand():
    """ResNet-50 at 1x: 1.44 million images of 800 x 1088 pixels, forward and, past the frozen stages, backward."""
    compose = Composer()
    at_six, at_sixty = (cost.row(compose, "coco_1x", "resnet50", rate) for rate in (6.0, 60.0))
    values = dict(zip(cost.HEAD, at_six, strict=True))
    # The convolutions of the same network on 128 x 160 pixels are 4.097e9 multiplications; frozen are stem and C2.
    forward = 2 * 4.097e9 * (800 * 1088) / (128 * 160)
    frozen = 0.6416e9 * (800 * 1088) / (128 * 160)
    assert values["GFLOP, tested image"] == pytest.approx(forward / 1e9, rel=5e-3)
    assert values["GFLOP, trained image"] == pytest.approx((3 * forward - 2 * frozen) / 1e9, rel=5e-3)
    assert values["images, M"] == 1.44
    assert values["training, h"] == pytest.approx(1.44e6 * (3 * forward - 2 * frozen) / 6e12 / 3600, rel=2e-2)
    assert dict(zip(cost.HEAD, at_sixty, strict=True))["training, h"] == pytest.approx(
        values["training, h"] / 10, abs=1
    )
    # 13 scales and their mirrors: short sides as in the authors' test, 4:3
    sides = (800, 400, 500, 600, 640, 700, 900, 1000, 1100, 1200, 1300, 1400, 1800)
    ratio = 2 * sum(s**2 for s in sides) / 800**2
    assert values["val at all scales, h"] == pytest.approx(5000 * ratio * forward / 6e12 / 3600, rel=5e-2)


def test_the_documentation_shows_what_is_printed():
    text = (REPO / "docs" / "reproduce.md").read_text()
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", text, re.M)]
    start = shown.index(cost.HEAD)
    table = shown[start + 2 : start + 2 + len(cost.ROWS)]
    assert [tuple(row[:2]) for row in table] == list(cost.ROWS)
    assert f"{cost.TFLOPS:g} TFLOP/s" in text
    compose = Composer()
    for recipe, backbone in (cost.ROWS[2], cost.ROWS[-1]):
        row = cost.row(compose, recipe, backbone, cost.TFLOPS)
        (printed,) = markdown(cost.HEAD, [row], cost.DIGITS).splitlines()[2:]
        cells = [cell.strip() for cell in printed.strip("|").split("|")]
        assert cells in table, f"python analysis/cost.py --format md prints another row: {printed}"


def test_a_rate_must_be_one(capsys):
    with pytest.raises(SystemExit):
        cost.main(["--tflops", "0"])
    assert "--tflops 0: must be a number above 0" in capsys.readouterr().err
