"""Figure 5: every number is the network's own."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from running import configuration

from paa.experiment.parts import assemble
from paa.figures import architecture
from paa.figures.architecture import dims, number
from paa.figures.network import Network, made, trace
from paa.figures.style import printed

SMALL = ("backbone=tiny", "recipe.channels=32", "recipe.head_depth=3")


@cache
def traced(*overrides: str) -> tuple[torch.nn.Module, Network]:
    parts = assemble(configuration("recipe=coco_1x", "data.root=none", *overrides))
    with torch.device("meta"):
        detector = parts.detector(80, load_weights=False)
    return detector, trace(detector, (180, 250), "a backbone", "predicted IoU")


@pytest.mark.parametrize(
    "overrides",
    [
        SMALL,
        ("backbone=resnet50_dcn", "auxiliary=centerness"),
        ("backbone=efficientnet_lite0", "backbone.weights=null", "auxiliary=none"),
    ],
)
def test_parts_add_up_to_the_network(overrides):
    detector, network = traced(*overrides)
    boxes = {"backbone": network.stages, "fpn": network.levels, "head": (*network.towers, *network.outputs)}
    for name, parts in boxes.items():
        own = sum(p.numel() for p in getattr(detector, name).parameters())
        assert sum(part.parameters for part in parts) == network.totals[name] == own
    assert network.totals["all"] == sum(p.numel() for p in detector.parameters())
    assert network.trained == sum(p.numel() for p in detector.parameters() if p.requires_grad)
    assert all(part.parameters > 0 for part in network.stages)
    assert [part.name for part in network.outputs] == [
        "class logits", "box deltas", *(() if "auxiliary=none" in overrides else ("predicted IoU",))
    ]  # fmt: skip


def test_shapes_are_those_of_a_run_with_data():
    _, network = traced(*SMALL)
    detector = assemble(configuration("recipe=coco_1x", "data.root=none", *SMALL)).detector(80)
    image = torch.zeros(1, 3, 192, 256)
    with torch.no_grad():
        stages = detector.backbone(image)
        predictions, shapes = detector(image)
    assert network.image == (3, 192, 256)  # padded to multiples of 32
    assert [part.shape for part in network.stages] == [tuple(x.shape[1:]) for x in stages]
    assert [part.shape[1:] for part in network.levels] == list(shapes)
    assert network.anchors == predictions.logits.shape[1]
    assert [part.shape for part in network.outputs] == [(c, *shapes[0]) for c in (80, 4, 1)]
    first = sum(p.numel() for m in (detector.backbone.stem, *detector.backbone.stages[:2]) for p in m.parameters())
    assert network.stages[0].parameters == first


def test_how_a_part_is_made():
    detector, _ = traced("backbone=resnet50_dcn")
    assert made(detector.head.cls_tower) == (
        "3 × (3×3 conv, GroupNorm 32, ReLU), 3×3 deformable conv, GroupNorm 32, ReLU"
    )
    detector, network = traced(*SMALL)
    assert network.towers[1].made == "3 × (3×3 conv, GroupNorm 4, ReLU)"
    assert network.outputs[1].made == "3×3 conv, 5 scales"
    assert made(torch.nn.Sequential()) == ""
    assert made(detector.fpn.p6) == "3×3 conv /2"


def test_the_page_says_each_number():
    _, network = traced(*SMALL)
    with printed():
        figure = architecture.draw(network, "a title")
    text = "\n".join(t.get_text() for t in figure.axes[0].texts)
    for part in (*network.stages, *network.levels, *network.towers, *network.outputs):
        assert dims(part.shape) in text
        assert number(part.parameters) in text
    assert all(number(total) in text for total in network.totals.values())
    assert (number(640), number(2_310), number(721_000), number(33_240_000)) == ("640", "2.31 k", "721 k", "33.2 M")
    figure.canvas.draw()
