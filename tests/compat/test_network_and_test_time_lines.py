"""Preset keys of test time, network, optimizer and schedule: every value has its documented effect."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from lines import detected, row
from scenes import detect
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from paa.detector.deform import DeformConv2d
from paa.detector.resnet import ResNet
from paa.structures import Predictions

PAIR = [[0.0, 0, 10, 10], [0.0, 0, 10, 5.5]]
"""Two boxes of IoU 0.55: both pass NMS, and they vote for one another."""


@pytest.mark.parametrize(("value", "score"), [("sqrt", math.sqrt(0.9 * 0.4)), ("product", 0.9 * 0.4)])
def test_unified(build, value, score):
    assert detected(build("paa", unified=value), PAIR[:1], [0.9], quality=0.4).scores.item() == pytest.approx(score)


@pytest.mark.parametrize(("value", "left"), [("class", [0.06]), ("unified", [0.04])])
def test_threshold_on(build, value, left):
    """Of class scores 0.06 and 0.04, with a predicted IoU of 0.01 the unified ones are 0.024 and 0.02, with 1 0.2."""
    parts = build("paa", threshold_on=value)
    apart = [[0.0, 0, 9, 9], [30.0, 0, 39, 9]]
    poor, sure = (detected(parts, apart, [0.06, 0.04], quality=q) for q in (0.01, 0.999999))
    assert len(poor) == (1 if value == "class" else 0)
    assert len(sure) == (1 if value == "class" else 2)
    assert left[0] == pytest.approx(sure.scores[-1].item() ** 2, rel=1e-3)


@pytest.mark.parametrize(("value", "left"), [(True, 101), (False, 100)])
def test_keep_ties(build, value, left):
    apart = [[float(x), float(y), x + 4.0, y + 4.0] for x in range(0, 55, 5) for y in range(0, 55, 5)][:101]
    assert len(detected(build("paa", keep_ties=value), apart, [0.5] * 101)) == left


@pytest.mark.parametrize(("value", "left"), [("input", 1), ("stored", 2)])
def test_frame(build, value, left):
    """With the +1 two boxes of IoU 6.1 / 10 have IoU 52 / 91 in an image stored ten times as large."""
    boxes = [[0.0, 0, 9, 9], [0.0, 0, 9, 5.1]]
    assert len(detected(build("paa", frame=value), boxes, [0.9, 0.8], stored=640)) == left


@pytest.mark.parametrize("value", [0.025, 0.0025])
def test_sigma_t(build, value):
    """The better box is drawn to the other by exp(-0.45^2 / sigma_t) x 0.8 / 0.9, of 4.5 pixels."""
    found = detected(build("paa", sigma_t=value, legacy=False), PAIR, [0.81, 0.64])
    vote = math.exp(-(0.45**2) / value) * 0.8 / 0.9
    assert found.boxes[0, 3].item() == pytest.approx((10 + 5.5 * vote) / (1 + vote), abs=1e-5)


@pytest.mark.parametrize(("value", "votes"), [(0.0, True), (0.01, False)])
def test_voting_iou(build, value, votes):
    """An IoU of 0.005 votes above 0, not above 0.01; sigma_t is so wide that the vote counts."""
    parts = build("paa", voting_iou=value, sigma_t=9.0, legacy=False)
    found = detected(parts, [[0.0, 0, 10, 10], [0.0, 9.9, 10, 20.1]], [0.9, 0.8])
    assert (found.boxes[0] - torch.tensor([0.0, 0, 10, 10])).abs().max() > 1 if votes else found.boxes[0, 3] == 10


@pytest.mark.parametrize(("value", "score"), [("sqrt", math.sqrt(0.9 * 0.4)), ("product", 0.9 * 0.4)])
def test_atss_unified(build, value, score):
    """By default it is compat.unified; where the two differ, that key applies only to PAA."""
    other = {"sqrt": "product", "product": "sqrt"}[value]
    for lines in ({"atss_unified": value, "unified": other}, {"unified": value}):
        assert detected(build("atss", **lines), PAIR[:1], [0.9], quality=0.4).scores.item() == pytest.approx(score)


@pytest.mark.parametrize(("value", "left"), [("class", 1), ("unified", 0)])
def test_atss_threshold_on(build, value, left):
    """A class score of 0.06, whose root with a centerness of 0.01 is 0.024."""
    parts = build("atss", atss_threshold_on=value)
    assert len(detected(parts, PAIR[:1], [0.06], quality=0.01)) == left


@pytest.mark.parametrize("value", ["unified", "class"])
def test_atss_ranked_by(build, value):
    """Of 1001 locations the one of least class score has the best centerness by far."""
    count = 1001
    classes = torch.linspace(0.9, 0.1, count)
    quality = torch.full((count,), 0.1)
    quality[-1] = 0.99
    corner = torch.arange(count).float()
    boxes = torch.stack((corner % 60, corner // 60, corner % 60 + 1, corner // 60 + 1), 1)
    predictions = Predictions(classes.logit().view(1, -1, 1), torch.zeros(1, count, 4), quality.logit()[None])
    parts = build("atss", atss_ranked_by=value, legacy=False)
    found = parts.postprocess.select(predictions, row(boxes), torch.tensor([[64, 64]]), parts.auxiliary)
    assert len(found.scores) == 1000
    assert (found.scores.max() > 0.3) == (value == "unified")


@pytest.mark.parametrize(("value", "left"), [(False, 2), (True, 1)])
def test_atss_drop_empty(build, value, left):
    """The second box lies beyond the image and has no width once clipped."""
    parts = build("atss", atss_drop_empty=value, legacy=False)
    assert len(detected(parts, [[0.0, 0, 10, 10], [70.0, 0, 80, 10]], [0.9, 0.8])) == left


@pytest.mark.parametrize(("value", "left"), [("keep", 2), ("drop", 1)])
def test_test_padding(build, value, left):
    """The second anchor is over the padding, where training leaves it out; its box reaches into the image."""
    parts = build("paa", test_padding=value, padding="out", legacy=False)
    boxes = torch.tensor([[0.0, 0, 10, 10], [50.0, 0, 90, 10]])
    anchors = replace(row(boxes), inside=torch.tensor([[True, False]]))
    logits = torch.tensor([0.9, 0.8]).logit().view(1, -1, 1)
    said = Predictions(logits, torch.zeros(1, 2, 4), torch.zeros(1, 2))
    (found,) = detect(parts.postprocess, said, anchors, torch.tensor([[64, 64]]), parts.auxiliary)
    assert len(found.boxes) == left


def test_atss_voting(build):
    assert [build("atss", atss_voting=value).postprocess.voting for value in (False, True)] == [False, True]
    assert build("paa", atss_voting=False).postprocess.voting


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    """A file of weights of a ResNet-18, with means 0 and variances 1."""
    path = tmp_path_factory.mktemp("weights") / "r18.pth"
    torch.save(ResNet(18, norm="batch").state_dict(), path)
    return str(path)


@pytest.mark.parametrize("value", ["frozen", "statistics", "batch"])
def test_norm(build, weights, value):
    """frozen: constants; statistics: scale and shift are trained past C2, running means stay; batch: all is trained."""
    backbone = build("resnet", weights, norm=value, input="weights").detector(1).backbone.train()
    late, early = backbone.layer4[0].bn1, backbone.layer1[0].bn1
    assert isinstance(late, FrozenBatchNorm2d) == (value == "frozen")
    trained = {name for name, p in backbone.named_parameters() if p.requires_grad and "bn1" in name}
    assert any(name.startswith("layer4") for name in trained) == (value != "frozen")
    assert not any(name.startswith(("bn1", "layer1")) for name in trained)
    assert late.training == (value == "batch") or value == "frozen"
    assert not isinstance(early, nn.BatchNorm2d) or not early.training


@pytest.mark.parametrize("value", [0.0, 1e-5])
def test_bn_eps(build, weights, value):
    norm = build("resnet", weights, bn_eps=value, input="weights").detector(1).backbone.layer4[0].bn1
    assert norm(torch.ones(1, 512, 1, 1)).mean().item() == pytest.approx(1 / math.sqrt(1 + value), abs=1e-6)


@pytest.mark.parametrize("value", [True, False])
def test_p7_relu(build, value):
    """Where all of P6 is negative, P7 is what the convolution makes of nothing."""
    fpn = build("paa", p7_relu=value).detector(1).fpn
    nn.init.zeros_(fpn.p6.weight)
    nn.init.constant_(fpn.p6.bias, -1.0)
    p7 = fpn([torch.rand(1, width, side, side) for width, side in zip((32, 64, 96), (8, 4, 2), strict=True)])[-1]
    assert bool((p7 == 0).all()) == value


@pytest.mark.parametrize("value", ["kaiming", "xavier"])
def test_fpn_init(build, value):
    """A 1 x 1 convolution of n to 16 channels begins within sqrt(3 / n), or sqrt(6 / (n + 16)). Biases are 0."""
    fpn = build("paa", fpn_init=value).detector(1).fpn
    for conv in fpn.lateral:
        fan = conv.in_channels
        bound = math.sqrt(3 / fan) if value == "kaiming" else math.sqrt(6 / (fan + 16))
        assert 0.95 * bound < conv.weight.abs().max() <= bound
    for conv in (*fpn.output, fpn.p6, fpn.p7):
        assert not conv.bias.any()


@pytest.mark.parametrize("value", [True, False])
def test_tower_bias(build, value):
    head = build("paa", tower_bias=value).detector(1).head
    assert {conv.bias is not None for conv in (head.cls_tower[0], head.bbox_tower[0])} == {value}


@pytest.mark.parametrize("value", ["random", "zero"])
def test_dcn_init(build, value):
    """In the towers, and in the backbone."""
    found = [m for m in build("deformable", dcn_init=value).detector(1).modules() if isinstance(m, DeformConv2d)]
    assert len(found) == 2 + 3  # of the towers, of C5
    assert {bool(m.offset.weight.any()) for m in found} == {value == "random"}


@pytest.mark.parametrize(("factor", "decay"), [(2.0, False), (1.0, False), (2.0, True), (1.0, True)])
def test_bias_lr_factor_and_bias_decay(build, factor, decay):
    optim = build("paa", bias_lr_factor=factor, bias_decay=decay).optim
    plain, biases = optim.build(nn.Linear(2, 2)).param_groups
    assert (plain["lr"], plain["weight_decay"]) == (optim.lr, optim.weight_decay)
    assert (biases["lr"], biases["weight_decay"]) == (optim.lr * factor, optim.weight_decay if decay else 0)


@pytest.mark.parametrize(("value", "steps", "falls"), [("steps", 90_000, 80_000), ("epochs", 87_960, 80_630)])
def test_length(build, value, steps, falls):
    schedule = build("paa", length=value).schedule
    assert schedule.steps == steps
    assert schedule.factor(falls - 1) / schedule.factor(falls) == pytest.approx(10)


@pytest.mark.parametrize(
    ("value", "middle", "last"), [("constant", 0.2, 0.2), ("linear", 0.6, 0.992), ("linear_last", 0.604, 1)]
)
def test_warmup_and_warmup_factor(build, value, middle, last):
    """Of 100 steps, the 51st and the last."""
    schedule = build("paa", warmup=value, warmup_factor=0.2).schedule
    assert schedule.warmup_steps == 100
    assert schedule.factor(0) == pytest.approx(0.2)
    assert (schedule.factor(50), schedule.factor(99)) == pytest.approx((middle, last), abs=1e-3)
    assert schedule.factor(100) == 1
