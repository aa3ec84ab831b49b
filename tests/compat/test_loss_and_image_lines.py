"""Preset keys of the loss, images and ground truths: every value has its documented effect."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lines import losses
from PIL import Image
from torch import nn

from paa.boxes import giou_loss
from paa.config.errors import ConfigError
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.targets import training_boxes, training_images

NEAR, AWAY = [2.0, 0, 12, 10], [970.0, 0, 980, 10]


def test_giou(build):
    """Of a box without area and itself the union is 0: it then is 1e-7, of which the box is nothing, or 1e-6."""
    point, speck = torch.tensor([5.0, 5, 5, 5]), torch.tensor([5.0, 5, 5.0005, 5.0005])
    found = {value: build("paa", giou=value) for value in ("add", "max")}
    for value, parts in found.items():
        assert parts.criterion.giou == parts.assigner.giou == value
    added, most = (float(giou_loss(speck, speck, parts.criterion.giou)) for parts in found.values())
    side = (speck[2] - speck[0]).item()
    assert added == pytest.approx(1 - side**2 / (side**2 + 1e-7), rel=1e-3)
    assert most == pytest.approx(1 - side**2 / 1e-6, rel=1e-3)
    assert float(giou_loss(point, point, "max")) == 1


@pytest.mark.parametrize(
    ("value", "divisors"), [("modern", (1, 1, 1)), ("official", (1, 0.1, 1)), ("mmdet", (0.75, 0.1, 0.5))]
)
def test_normalizer(build, value, divisors):
    """Half a positive, weights of 0.1, three quarters of an image: every floor gives another loss."""
    parts = build("paa", normalizer=value)
    few, many = losses(parts, NEAR, [0.5, 0.1, 0.75, 0.5]), losses(parts, NEAR, [1024.0] * 4)
    for name, divisor in zip(("cls", "box", "aux"), divisors, strict=True):
        assert many[name] * 1024 / few[name] == pytest.approx(divisor, rel=1e-4)


@pytest.mark.parametrize(("normalizer", "divisors"), [("modern", (8, 8, 8)), ("official", (8, 0.1, 8))])
def test_the_floor_of_eight_devices(build, normalizer, divisors):
    """Theirs: max(P / 8, 1) on each of 8 devices, whose gradients are averaged, is max(P, 8) of the whole step."""
    parts = build("eight", normalizer=normalizer)
    few, many = losses(parts, NEAR, [7.0, 0.1, 16, 7]), losses(parts, NEAR, [1024.0] * 4)
    for name, divisor in zip(("cls", "box", "aux"), divisors, strict=True):
        assert many[name] * 1024 / few[name] == pytest.approx(divisor, rel=1e-4)


@pytest.mark.parametrize("value", [0.0, 1.1920929e-07])
def test_epsilon(build, value):
    """Beside weights that sum to 1e-7 the second more than halves the box loss."""
    found, plain = (losses(build("paa", epsilon=e), NEAR, [1, 1e-7, 1, 1])["box"] for e in (value, 0.0))
    assert found / plain == pytest.approx(1e-7 / (1e-7 + value), rel=1e-4)


@pytest.mark.parametrize(("value", "share"), [("keep", 0), ("unweighted", 1), ("floor", 1e-12)])
def test_zero_weights(build, value, share):
    """The only positive predicts a box away from its ground truth: IoU 0, GIoU loss 1 + 960 / 980."""
    box = losses(build("paa", zero_weights=value, legacy=False), AWAY)["box"]
    assert box == pytest.approx(1.3 * (1 + 960 / 980) * share, rel=1e-3)


def test_average(build):
    """A second process has 3 times the positives, and as many images."""
    group = SimpleNamespace(size=2, all_reduce=lambda counts: counts + torch.tensor([6.0, 3.0, 4.0]))
    found = {}
    for value in ("global", "per_process"):
        core = replace(build("paa", normalizer_sync=value).core(nn.Linear(1, 1)), group=group)
        found[value] = core._of_step(torch.tensor([2.0, 1.0, 4.0]))
    assert found["global"][0].tolist() == [8, 4, 8]
    assert found["global"][1] is None
    assert found["per_process"][0].tolist() == [2, 1, 4]
    assert found["per_process"][1] == 0.5


@pytest.mark.parametrize("line", ["normalizer", "zero_weights", "normalizer_sync"])
def test_lines_of_atss_stand_in_place_of_those_of_the_same_name(build, line):
    usual, other = {
        "normalizer": ("mmdet", "mmdet_atss"),
        "zero_weights": ("floor", "keep"),
        "normalizer_sync": ("per_process", "global"),
    }[line]
    assert getattr(build("atss", **{line: usual}).criterion, line) == usual
    assert getattr(build("atss", **{line: usual, f"atss_{line}": other}).criterion, line) == other
    assert getattr(build("paa", **{line: usual, f"atss_{line}": other}).criterion, line) == usual


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> CocoIndex:
    """Images 0 to 5: a good box; one 0.9 pixels wide; a crowd alone; nothing; narrow; a box stored with area 0."""
    folder = tmp_path_factory.mktemp("lines")
    images = [{"id": i, "file_name": f"{i}.png", "width": 31 if i == 4 else 64, "height": 64} for i in range(6)]
    stored = {0: (10, 9, 0), 1: (0.9, 9, 0), 2: (10, 9, 1), 4: (10, 9, 0), 5: (10, 0, 0)}
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [4, 4, width, 10], "area": area, "iscrowd": crowd}
        for i, (width, area, crowd) in stored.items()
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}
    path = folder / "train.json"
    path.write_text(json.dumps(content))
    return CocoIndex.read(path, folder)


def trained(parts, index: CocoIndex) -> dict[int, int]:
    """{image to train on: boxes that it has}."""
    node = parts.config["images"]
    truths = training_boxes(index, legacy=node["legacy"], rule=node["boxes"])
    chosen = training_images(
        index, truths, empty_images=node["empty"], degenerate_boxes=node["degenerate_boxes"], min_side=node["min_side"]
    )
    return dict(zip(chosen.tolist(), truths.counts[chosen].tolist(), strict=True))


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ({"boxes": "clip"}, {0: 1, 1: 1, 2: 0, 3: 0, 4: 1, 5: 1}),
        ({"boxes": "mmdet"}, {0: 1, 1: 0, 2: 0, 3: 0, 4: 1, 5: 0}),
        ({"empty": "drop"}, {0: 1, 1: 1, 4: 1, 5: 1}),
        ({"empty": "unannotated"}, {0: 1, 1: 1, 2: 0, 4: 1, 5: 1}),
        ({"empty": "unannotated", "boxes": "mmdet"}, {0: 1, 1: 0, 2: 0, 4: 1, 5: 0}),
        ({"degenerate_boxes": "drop"}, {0: 1, 2: 0, 3: 0, 4: 1, 5: 1}),
        ({"min_side": 32}, {0: 1, 1: 1, 2: 0, 3: 0, 5: 1}),
        ({"legacy": True}, {0: 1, 1: 0, 2: 0, 3: 0, 4: 1, 5: 1}),
    ],
    ids=lambda lines: "-".join(f"{k}={v}" for k, v in lines.items()),
)
def test_boxes_empty_thin_and_min_side(build, index, lines, left):
    plain = {"legacy": False, "boxes": "clip", "empty": "keep", "degenerate_boxes": "keep", "min_side": 0}
    assert trained(build("paa", **{**plain, **lines}), index) == left


@pytest.mark.parametrize(("value", "width"), [("truncate", 151), ("half_up", 152), ("round", 152)])
def test_resize(build, value, width):
    """Of 31 x 47 pixels the short side becomes 100, the other 151.6."""
    assert build("paa", resize=value).train_transform(None).size(31, 47) == (100, width)


def test_interpolation(build):
    pixels = np.random.RandomState(0).randint(0, 256, (250, 250, 3)).astype(np.uint8)
    made = {}
    for value in ("pil", "cv2", "plain"):
        transform = build("paa", interpolation=value).train_transform(None)
        made[value] = transform(Image.fromarray(pixels), torch.zeros(0, 4))[0]
    assert made["pil"].std() < 0.9 * made["cv2"].std()  # it averages
    level = 1 / 255 / 0.224
    assert 0 < (made["cv2"] - made["plain"]).abs().max() < 1.1 * level


@pytest.mark.parametrize(
    ("value", "takes"),
    [("weights", ("caffe", "torchvision")), ("caffe", ("caffe",)), ("torchvision", ("torchvision",))],
)
def test_input(build, tmp_path, value, takes):
    """Weights of another input convention are rejected; from scratch the network gets the expected input."""
    for stated in ("caffe", "torchvision"):
        path = tmp_path / f"{stated}.pth"
        torch.save({"convention": stated, "state": {"any": torch.zeros(1)}}, path)  # not loaded: nothing is trained
        if stated in takes:
            assert build("resnet", str(path), input=value).config["backbone"]["convention"] == stated
        else:
            with pytest.raises(ConfigError, match=f"expects={value}: the weights of .* want "):
                build("resnet", str(path), input=value)
    order = build("resnet", input=value).detector(1).backbone.order
    assert order == ("bgr" if value == "caffe" else "rgb")


@pytest.mark.parametrize(("value", "together"), [("at_least", (1, 2)), ("above", (0, 1)), ("none", (0, 1, 2))])
def test_groups(build, value, together):
    """Of a wide, a square and a high image two are of one form, and in no batch with the third (none: all are)."""
    index = SimpleNamespace(heights=np.array([10, 10, 20]), widths=np.array([20, 10, 10]))
    sampler = build("paa", aspect_grouping=value).sampler(index, np.arange(3))
    batches = [{image for _, image in batch} for batch in islice(sampler.iter_from(0), 40)]
    assert {frozenset(batch) for batch in batches if len(batch) > 1} == {frozenset(together)}
