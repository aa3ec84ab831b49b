"""The paper's recipes with each backbone of its tables: what they compose to, the networks, two steps and a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from analysis_scripts import script
from running import configuration
from torch import nn

from paa.config.compose import Composer, resolved
from paa.config.instantiate import build
from paa.datasets.loader import train_batches
from paa.datasets.sampler import TrainSampler
from paa.datasets.targets import training_boxes
from paa.detector import ResNet
from paa.experiment.evaluation import Evaluator
from paa.experiment.experiment import Experiment
from paa.experiment.parts import assemble

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco_tiny100"

PARAMETERS = {
    "resnet50": (32_295_322, 32_069_978),
    "resnet101": (51_287_450, 51_062_106),
    "resnext101_64x4d": (90_193_562, 89_790_810),
    "resnet101_dcn": (53_216_708, 52_991_364),
    "resnext101_64x4d_dcn": (97_410_392, 97_007_640),
    "resnext101_32x8d_dcn": (102_746_456, 102_316_056),
    "resnext152_32x8d_dcn": (139_562_679, 139_132_279),
}
"""Parameters of MMDetection 3.3.0's PAA, and how many of them are trained: its configs/paa/paa_r50_fpn_1x_coco.py built
by its own code, with `depth`, `groups` and `base_width` of its ResNet and ResNeXt changed, and for the deformable ones
with `dcn` of type DCNv2 in the paper's stages."""

TOWERS = 2 * 27 * (9 * 256 + 1)
"""What the offsets of a deformable convolution at the end of both towers add; MMDetection's PAA head can have none."""

MULTIPLICATIONS = {"resnet50": 4_097_440_768, "resnet101": 5_612_633_088, "resnext101_64x4d": 8_738_700_288}
"""Of the convolutions of the same models on 128 x 160 pixels, as mmengine 0.10.7's FlopAnalyzer counts them."""

SCHEDULES = {
    "coco_1x": (90_000, [60_000, 80_000], 800),
    "coco_1.5x": (135_000, [90_000, 120_000], 800),
    "coco_2x": (180_000, [120_000, 160_000], [640, 800]),
}
"""Recipe -> steps, steps at which the learning rate falls, short side in training."""

X152 = "resnext152_32x8d_dcn"


def overrides(recipe: str, backbone: str, *more: str) -> list[str]:
    weights = ["backbone.weights=X-152.pth"] if backbone == X152 else []
    return [f"recipe={recipe}", f"backbone={backbone}", "data.root=/data", *weights, *more]


@pytest.fixture(scope="module")
def configs() -> dict[tuple[str, ...], dict[str, Any]]:
    """{(recipe, backbone): configuration}; and with "compat=mmdet" behind the two, MMDetection's network."""
    compose = Composer()
    every = [(recipe, backbone) for recipe in SCHEDULES for backbone in PARAMETERS]
    every += [("coco_2x", backbone, "compat=mmdet") for backbone in PARAMETERS]
    return {words: resolved(compose.compose(overrides(*words))) for words in every}


@pytest.mark.parametrize("recipe", SCHEDULES)
def test_a_recipe_is_the_paper_s_with_every_backbone_and_for_x152_the_authors_own(recipe, configs):
    for backbone in PARAMETERS:
        config = configs[recipe, backbone]
        steps, falls, short = SCHEDULES[recipe]
        batch, lr, test_short, longest = 16, 0.01, 800, 1333
        if recipe == "coco_2x" and backbone == X152:
            steps, falls, short = 360_000, [240_000, 320_000], [640, 864]
            batch, lr, test_short, longest = 8, 0.005, 864, 1440
        schedule, images = build(config["schedule"], "schedule"), config["images"]
        assert (schedule.steps, config["train"]["batch_size"], config["optim"]["lr"]) == (steps, batch, lr), backbone
        assert images["train"] == {"short": short, "longest": longest, "flip": 0.5}
        assert images["test"] == {"short": test_short, "longest": longest, "batch_size": 8}
        factors = [schedule.factor(step) for step in (0, 499, 500)]
        assert factors == pytest.approx([1 / 3, 1 / 3, 1])
        for step, before, after in zip(falls, (1, 0.1), (0.1, 0.01), strict=True):
            assert [schedule.factor(step - 1), schedule.factor(step)] == pytest.approx([before, after])
        assert (config["backbone"]["frozen_stages"], config["backbone"]["norm"]) == (None, "frozen")
        assert config["optim"]["momentum"] == 0.9
        assert config["optim"]["weight_decay"] == 1e-4
        assert config["postprocess"]["multiscale"] == {}


@pytest.mark.parametrize("backbone", ["resnet50", X152])
def test_the_sizes_of_the_multi_scale_test_are_the_authors_own_with_every_backbone(backbone):
    """Of the longer side, too: it does not follow the size of the plain test, which X-152 has larger."""
    made = assemble(configuration(*overrides("coco_2x", backbone, "postprocess.multiscale=official")))
    assert made.scales.sizes == [
        *((short, 1333) for short in (400, 500, 600, 640, 700)),
        *((short, 3000) for short in (900, 1000, 1100, 1200, 1300, 1400, 1800)),
    ]


@pytest.mark.parametrize("words", [("compat=paper", "compat.input=weights"), ("compat.x152=common",)])
def test_x152_as_the_paper_has_it_trains_as_the_other_networks(words):
    config, other = (configuration(*overrides("coco_2x", backbone, *words)) for backbone in (X152, "resnet101_dcn"))
    assert config["train"]["batch_size"] == 16
    for node in ("train", "optim", "schedule", "images"):
        assert config[node] == other[node]


def parameters(network: nn.Module, name: str = "") -> int:
    """Parameters of a network, or of those of its modules whose names begin so."""
    return sum(p.numel() for n, p in network.named_parameters() if n.startswith(name))


@pytest.mark.parametrize("backbone", PARAMETERS)
def test_the_network_has_the_parameters_of_mmdetection_s(backbone, configs):
    for recipe in ("coco_1x", "coco_1.5x"):
        for node in ("backbone", "detector"):
            assert configs[recipe, backbone][node] == configs["coco_2x", backbone][node]
    official = assemble(configs["coco_2x", backbone])
    mmdet = assemble(configs["coco_2x", backbone, "compat=mmdet"])
    with torch.device("meta"):
        theirs, ours = mmdet.detector(80), official.detector(80)
    towers = TOWERS if backbone.endswith("_dcn") else 0
    every, trained = PARAMETERS[backbone]
    assert parameters(theirs) == every + towers
    assert sum(p.numel() for p in theirs.parameters() if p.requires_grad) == trained + towers
    assert parameters(ours, "fpn") == parameters(theirs, "fpn")
    assert parameters(ours, "head") == parameters(theirs, "head") + 8 * 256  # biases of the towers' convolutions
    norms = sum(b.numel() for n, b in ours.named_buffers() if n.endswith((".weight", ".bias")))  # frozen: constants
    assert parameters(ours, "backbone") + norms == parameters(theirs, "backbone")
    if backbone in MULTIPLICATIONS:
        forward, _ = script("cost").count_flops(ours, 128, 160)
        assert forward == 2 * MULTIPLICATIONS[backbone]


SMALL = (
    *("device=cpu", "workers=0", "train.batch_size=2", "images.test.batch_size=2", "debug.images=4"),
    *("images.test.short=32", "images.train.longest=64", "images.test.longest=64", "schedule.steps=2"),
    *("evaluate.splits=[train]", "postprocess.voting=true"),
)


@pytest.fixture
def data(smoke_data) -> list[str]:
    """Photographs, where they are beside the checkout, else the embedded data."""
    return ["data=custom", f"data.root={REAL}"] if REAL.is_dir() else ["data=shapes", f"data.root={smoke_data}"]


def test_two_steps_and_a_test_of_resnet50_by_the_whole_recipe(data, tmp_path):
    """Pretrained weights from a file, in the authors' convention of input, BatchNorm frozen without an epsilon."""
    weights = tmp_path / "r50.pth"
    torch.manual_seed(0)
    torch.save({"convention": "caffe", "state": ResNet(50, norm="batch").state_dict()}, weights)
    words = [*overrides("coco_1x", "resnet50"), *data, *SMALL, "images.train.short=48", f"runs_dir={tmp_path}"]
    made = Experiment.of(configuration(*words, f"backbone.weights={weights}", "compat.input=caffe"), words)
    (record,) = made.run()
    assert made.parts.config["backbone"]["stride_in_1x1"] is True
    assert made.finished
    assert record.images == 4
    assert record.numbers["AP"] is not None
    final = torch.load(made.identity.paths.weights, weights_only=True)
    start = torch.load(weights, weights_only=True)["state"]
    assert torch.equal(final["backbone.layer1.0.conv1.weight"], start["layer1.0.conv1.weight"])
    assert not torch.equal(final["backbone.layer2.0.conv1.weight"], start["layer2.0.conv1.weight"])


@pytest.mark.parametrize("backbone", ["resnet101_dcn", "resnext101_64x4d"])
def test_two_steps_and_a_test_of_the_comparison(backbone, data):
    """At several scales in training and in the test; the largest networks are counted above."""
    scales = (
        "postprocess.multiscale=official",
        "postprocess.multiscale.short=[48]",
        "postprocess.multiscale.sides=null",
    )
    words = [*overrides("coco_2x", backbone, "backbone.weights=null"), *data, *SMALL, *scales]
    parts = assemble(configuration(*words, "images.train.short=[32,56]"))
    parts.source.prepare()
    whole = parts.source.index("train")
    index = whole.subset(list(range(4)))
    detector = parts.detector(index.classes)
    core, optimizer = parts.core(detector), parts.optim.build(detector)
    sampler = TrainSampler(index.heights, index.widths, 2, 0)
    transform = parts.train_transform(detector.backbone)
    before = {name: p.detach().clone() for name, p in detector.named_parameters() if name.startswith("head")}
    detector.train()
    sizes = set()
    for step, batch in enumerate(train_batches(index, transform, sampler, steps=2, truths=training_boxes(index))):
        optimizer.zero_grad()
        losses = core.losses(batch, step / 2)
        optimizer.step()
        assert losses.isfinite().all()
        assert losses[3] > 0  # positives
        sizes |= {int(size.min()) for size in batch.sizes}
    assert len(sizes) > 1, "every image has drawn the same short side"
    assert all(
        not torch.equal(p, before[n]) for n, p in detector.named_parameters() if n in before and "scale" not in n
    )
    categories = [[int(i), str(n)] for i, n in zip(index.category_ids, index.category_names, strict=True)]
    found = Evaluator(parts, detector, torch.device("cpu"), categories).results(index, [True])[True]
    assert set(found.image_ids.tolist()) <= set(index.image_ids.tolist())
    assert all(torch.from_numpy(found.boxes).isfinite().flatten().tolist())
