"""A training that is too long for a CPU is refused, unless the user asks for it."""

from __future__ import annotations

import pytest
import torch
from running import TINY, call, configuration

from paa.experiment.device import too_long

COCO = ("recipe=coco_1x", "data.root=/nowhere")


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(
    "overrides",
    [(), ("recipe=smoke",), TINY, (*COCO, "device=cpu"), (*COCO, "schedule.steps=100")],
    ids=["mini", "smoke", "tiny", "device=cpu", "100 steps"],
)
def test_short_trainings_and_those_that_ask_for_a_cpu_run(overrides):
    assert too_long(configuration(*overrides)) is None


@pytest.mark.parametrize("recipe", ["coco_1x", "coco_1.5x", "coco_2x"])
def test_the_paper_s_recipes_are_refused(recipe, monkeypatch):
    config = configuration(f"recipe={recipe}", "data.root=/nowhere")
    assert too_long(config).startswith(f"recipe={recipe}: {16 * config['schedule']['steps']:,} training images")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert too_long(config) is None


def test_the_size_is_that_of_the_training_images():
    config = configuration(*COCO, "schedule.steps=1000")
    assert "800 x 1066 pixels" in too_long(config)
    config["images"]["train"] = {"short": [600, 800], "longest": 900}
    assert "700 x 900 pixels" in too_long(config | {"schedule": {"steps": 10_000}})
    config["images"]["train"] = {"short": None, "longest": None}
    assert "480 x 640 pixels" in too_long(config | {"schedule": {"steps": 10_000}})


def test_the_command_refuses_before_data_are_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    end = call(capsys, "paa.train", *COCO)
    assert end.code == 2
    assert end.err.startswith("paa.train: recipe=coco_1x: ")
    assert not list(tmp_path.iterdir())
    end = call(capsys, "paa.train", *COCO, "device=cpu")
    assert end.code == 2
    assert "/nowhere" in end.err
