from __future__ import annotations

import time

import pytest
import torch
from running import TINY, call, configuration
from torch import nn

from paa.detector.deform import DeformConv2d
from paa.engine import effort
from paa.engine.effort import count_flops, cpu_rate, step_flops, surely_below
from paa.experiment import cost as feasible
from paa.experiment.cost import too_long
from paa.experiment.parts import assemble


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def parts(*overrides):
    return assemble(configuration(*overrides))


@pytest.fixture
def rate(monkeypatch):
    """A CPU of 100 GFLOP/s."""
    monkeypatch.setattr(feasible, "_rate", lambda threads: 1e11)


def test_flops_are_counted_by_hand():
    """Two 3x3 convolutions on 64 x 96 pixels, the first frozen: forward twice as much a multiplication, backward of
    the second twice as much again.
    """
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1))
    first, second = 2 * 9 * 3 * 8 * 64 * 96, 2 * 9 * 8 * 4 * 64 * 96
    assert step_flops(network, 60, 90) == 3 * (first + second)
    network[0].requires_grad_(False)
    assert step_flops(network, 64, 96) == first + 3 * second
    assert step_flops(network, 64, 96, passes=2) == 2 * first + 4 * second


def test_flops_of_a_deformable_convolution_are_those_of_a_plain_one_and_of_its_offsets():
    with torch.device("meta"):
        network = nn.Sequential(DeformConv2d(8, 6, stride=2, groups=2))
    plain, offsets = 2 * 9 * 8 * 3 * 16 * 32, 2 * 9 * 8 * 27 * 16 * 32
    image = nn.Sequential(nn.Conv2d(3, 8, 1).to("meta"), *network)
    entry = 2 * 3 * 8 * 32 * 64
    assert count_flops(image, 32, 64) == (entry + plain + offsets, 0)
    image[0].requires_grad_(False)
    counted = count_flops(image, 32, 64)
    assert counted.frozen == entry
    assert counted.step() == entry + 3 * (plain + offsets)


def test_a_layer_that_cannot_run_without_data_gives_no_estimate():
    class Reads(nn.Module):
        def forward(self, x):
            return x * float(x.sum())

    with torch.device("meta"):
        assert step_flops(Reads(), 32, 32) is None


def test_the_rate_of_this_machine_is_measured_in_a_moment():
    began = time.monotonic()
    assert 1e8 < cpu_rate(0.05) < 1e15
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("recipe", ["coco_1x", "coco_1.5x", "coco_2x"])
def test_the_recipes_of_the_paper_are_refused_on_a_cpu(recipe, rate):
    steps = {"coco_1x": 90000, "coco_1.5x": 135000, "coco_2x": 180000}[recipe]
    text = too_long(parts(f"recipe={recipe}", "data.root=/nowhere"))
    assert text is not None
    assert text.startswith(f"recipe={recipe}: would take about ")
    assert f"{16 * steps:,} images" in text
    assert text.endswith("at 100 GFLOP/s); add device=cpu to do it all the same, or run it where torch sees a GPU")
    days = float(text.split("about ")[1].split(" days")[0].replace(",", ""))
    assert 50 < days < 500  # ResNet-50 at 800 pixels: about 240 GFLOP forward


@pytest.mark.parametrize("overrides", [(), ("recipe=smoke",), TINY], ids=["mini", "smoke", "tiny"])
def test_small_recipes_pay_nothing(overrides, monkeypatch):
    for name in ("step_flops", "cpu_rate"):
        monkeypatch.setattr(feasible, name, lambda *args, **rest: pytest.fail("counted"))
    assert too_long(parts(*overrides)) is None


def test_the_free_bound_is_above_what_is_counted():
    """What it lets through without counting takes less than a day even on a slow CPU."""
    for overrides in [(), ("recipe=coco_1x", "data.root=/nowhere")]:
        made = parts(*overrides)
        with torch.device("meta"):
            detector = made.detector(80)
        weights = sum(p.numel() for p in detector.parameters())
        side = 192
        flops = step_flops(detector, side, side)
        assert flops is not None
        seconds = flops / effort.SLOW_CPU
        assert not surely_below(seconds, weights, side * side)


def test_who_says_so_or_has_a_gpu_is_not_asked(rate, monkeypatch):
    assert too_long(parts("recipe=coco_1x", "data.root=/nowhere", "device=cpu")) is None
    assert too_long(parts("recipe=coco_1x", "data.root=/nowhere", "schedule.steps=100")) is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert too_long(parts("recipe=coco_1x", "data.root=/nowhere")) is None


def test_the_command_refuses_before_data_are_read(tmp_path, monkeypatch, capsys, rate):
    monkeypatch.chdir(tmp_path)
    end = call(capsys, "paa.train", "recipe=coco_1x", "data.root=/nowhere")
    assert end.code == 2
    assert end.err.startswith("paa.train: recipe=coco_1x: would take about ")
    assert not list(tmp_path.iterdir())
    end = call(capsys, "paa.train", "recipe=coco_1x", "data.root=/nowhere", "device=cpu")
    assert end.code == 2
    assert "/nowhere" in end.err
