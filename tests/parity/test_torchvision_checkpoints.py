"""torchvision's RetinaNet and FCOS, built here with random weights, beside what they become: parts that are the same
compute the same, the others are named.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from running import call, loaded
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models.detection import (
    FCOS,
    RetinaNet,
    fcos_resnet50_fpn,
    retinanet_resnet50_fpn,
    retinanet_resnet50_fpn_v2,
)
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from paa.commands.import_checkpoint import Conversion, converted
from paa.config.compose import Composer, resolved
from paa.conversion.classes import coco
from paa.conversion.errors import ConversionError
from paa.conversion.safe_load import LoadedCheckpoint
from paa.experiment.init_weights import InitWeights
from paa.experiment.parts import assemble
from paa.store.paths import runs

COCO_IDS = [i for i, _ in coco()]


def backbone() -> nn.Module:
    """Build a ResNet-18 with a pyramid, P6 from P5, and statistics that are not 0 and 1."""
    torch.manual_seed(0)
    body = resnet18(weights=None, norm_layer=FrozenBatchNorm2d)
    for name, value in body.named_buffers():
        if "running" in name:
            value.uniform_(0.5, 1.5)
    return _resnet_fpn_extractor(body, 5, returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256))


def one_square() -> AnchorGenerator:
    return AnchorGenerator(tuple((8 * stride,) for stride in (8, 16, 32, 64, 128)), ((1.0,),) * 5)


def features(model: Any, images: Tensor) -> list[Tensor]:
    return list(model.backbone(images).values())


def make(model: nn.Module, whole: bool) -> Conversion:
    compose = Composer()
    out = Path("runs") if whole else None
    made = converted(Path("in.pth"), LoadedCheckpoint(dict(model.state_dict())), [], compose, out)
    made.detector.load_state_dict(made.state, assign=True)
    made.detector.eval()
    return made


@torch.no_grad()
def test_a_retinanet_of_our_form_is_a_run_with_its_outputs(tmp_path, capsys):
    norm = partial(nn.GroupNorm, 32)
    base = backbone()
    head = RetinaNetHead(256, 1, 91, norm_layer=norm)
    model = RetinaNet(base, 91, anchor_generator=one_square(), head=head).eval()
    nn.init.normal_(model.head.regression_head.bbox_reg.bias)
    torch.save(model.state_dict(), tmp_path / "retina.pth")
    ended = call(capsys, "paa.convert", str(tmp_path / "retina.pth"), str(tmp_path / "runs"))
    assert ended.code == 0, ended.err
    (run,) = runs(tmp_path / "runs")
    detector = loaded(run).eval()
    images = torch.randn(1, 3, 128, 160, generator=torch.Generator().manual_seed(1))
    expected = model.head(features(model, images))
    found, _ = detector(images)
    torch.testing.assert_close(found.logits, expected["cls_logits"][..., COCO_IDS], rtol=0, atol=1e-4)
    deltas = expected["bbox_regression"] * torch.tensor([10.0, 10.0, 5.0, 5.0])
    torch.testing.assert_close(found.deltas, deltas, rtol=0, atol=1e-4)
    assert found.auxiliary is None


@torch.no_grad()
def test_of_fcos_all_but_the_boxes_is_the_same():
    model = FCOS(backbone(), 91).eval()
    made = make(model, whole=False)
    assert list(made.model.other) == ["head.bbox_pred", "head.scales"]
    assert made.fresh == ["head.scales", "head.bbox_pred.weight", "head.bbox_pred.bias"]
    images = torch.randn(1, 3, 128, 160, generator=torch.Generator().manual_seed(1))
    expected = model.head(features(model, images))
    found, _ = made.detector(images)
    torch.testing.assert_close(found.logits, expected["cls_logits"][..., COCO_IDS], rtol=0, atol=1e-4)
    torch.testing.assert_close(found.auxiliary, expected["bbox_ctrness"].squeeze(-1), rtol=0, atol=1e-4)


@torch.no_grad()
def test_of_a_usual_retinanet_backbone_and_pyramid_are_the_same():
    model = RetinaNet(backbone(), 91).eval()
    made = make(model, whole=False)
    assert made.model.other == {"head": "its towers have no GroupNorm"}
    assert all(name.startswith("head.") for name in made.fresh)
    images = torch.randn(1, 3, 128, 160, generator=torch.Generator().manual_seed(1))
    pyramid = made.detector.fpn(made.detector.backbone(images))
    for mine, right in zip(pyramid, features(model, images), strict=True):
        torch.testing.assert_close(mine, right, rtol=0, atol=1e-4)


PUBLISHED: dict[str, tuple[Callable[..., nn.Module], list[str]]] = {
    "retinanet": (retinanet_resnet50_fpn, ["head"]),
    "retinanet v2": (retinanet_resnet50_fpn_v2, ["head.cls_logits", "head.bbox_pred", "head.scales", "fpn.p6"]),
    "fcos": (fcos_resnet50_fpn, ["head.bbox_pred", "head.scales"]),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_not_the_same_is_named_and_its_weights_are_left_out(name: str):
    """The networks whose weights torchvision publishes, on the meta device."""
    build, other = PUBLISHED[name]
    with torch.device("meta"):
        state = build(weights=None, weights_backbone=None).state_dict()
    compose = Composer()
    made = converted(Path("in.pth"), LoadedCheckpoint(dict(state)), [], compose, None)
    with pytest.raises(ConversionError) as refused:
        converted(Path("in.pth"), LoadedCheckpoint(dict(state)), [], compose, Path("runs"))
    assert list(made.model.other) == other
    for part in other:
        assert part in str(refused.value)
        assert any(fresh.startswith(part) for fresh in made.fresh)
    counters = sum(key.endswith("num_batches_tracked") for key in state)
    taken = len(made.state) - len(made.fresh)
    assert taken + len(made.model.renamed.unused) + counters == len(state)


def test_a_file_of_parts_starts_a_training(tmp_path, capsys):
    """`OUT.pth` holds the whole state of our detector and its input convention."""
    model = FCOS(backbone(), 91)
    torch.save(model.state_dict(), tmp_path / "fcos.pth")
    out = tmp_path / "parts.pth"
    ended = call(capsys, "paa.convert", str(tmp_path / "fcos.pth"), str(out))
    assert ended.code == 0, ended.err
    assert f"{out}  fresh, not converted: head.bbox_pred (boxes are distances to the sides)" in ended.out
    refused = call(capsys, "paa.convert", str(tmp_path / "fcos.pth"), str(tmp_path / "runs"))
    assert refused.code == 2
    assert "is no whole detector of paa: head.bbox_pred (boxes are distances to the sides)" in refused.err
    assert not (tmp_path / "runs").exists()

    words = ["recipe=coco_1x", "data.root=x", "backbone=resnet18", "auxiliary=centerness", f"finetune.from={out}"]
    compose = Composer()
    parts = assemble(resolved(compose.compose(words)))
    detector = parts.detector(80, load_weights=False)
    start = InitWeights.of(parts.config)
    assert start is not None
    said = start.into(detector, parts.config, coco())
    assert "fresh" not in said
    state = torch.load(out, weights_only=True)["state"]
    assert torch.equal(detector.state_dict()["head.cls_tower.0.weight"], state["head.cls_tower.0.weight"])
    source = model.state_dict()["head.classification_head.conv.0.weight"]
    assert torch.equal(state["head.cls_tower.0.weight"], source)
