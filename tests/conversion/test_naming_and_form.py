"""Names that become ours, and the form of a network as its names and shapes tell it."""

from __future__ import annotations

import pytest
import torch

from paa.conversion import classes, mmdetection, network_spec, official
from paa.conversion.errors import ConversionError
from paa.conversion.naming import Renamed, SourceModel, rename
from paa.conversion.safe_load import LoadedCheckpoint

ONE = torch.zeros(1)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("backbone.layer3.0.conv2.conv_offset.bias", "backbone.layer3.0.conv2.offset.bias"),
        ("backbone.layer3.0.conv2_offset.bias", "backbone.layer3.0.conv2.offset.bias"),
        ("bbox_head.cls_convs.3.conv.conv_offset.weight", "head.cls_tower.9.offset.weight"),
        ("bbox_head.reg_convs.3.conv.weight", "head.bbox_tower.9.weight"),
        ("bbox_head.reg_convs.3.gn.weight", "head.bbox_tower.10.weight"),
        ("neck.fpn_convs.2.conv.bias", "fpn.output.2.bias"),
        ("neck.fpn_convs.3.conv.bias", "fpn.p6.bias"),
        ("backbone.stem.0.weight", None),
        ("neck.fpn_convs.0.bn.weight", None),
    ],
)
def test_names_of_mmdetection(theirs: str, ours: str | None) -> None:
    renamed = rename({theirs: ONE}, mmdetection.RULES)
    assert (list(renamed.state), renamed.left_over) == (([ours], []) if ours else ([], [theirs]))


def test_two_names_that_become_one_are_refused() -> None:
    names = ("backbone.body.layer2.0.conv2.conv.weight", "backbone.body.layer2.0.conv2.weight")
    with pytest.raises(ConversionError, match=r"both are backbone\.layer2\.0\.conv2\.weight; must be one of the two"):
        rename(dict.fromkeys(names, ONE), official.RULES)


def body(depth: int, blocks: tuple[int, ...], inner: tuple[int, ...], *more: str) -> network_spec.BackboneSpec:
    kinds = ("conv1", "conv2", "conv3") if depth >= 50 else ("conv1", "conv2")
    names = [f"layer{s + 1}.{i}.{kind}.weight" for s, n in enumerate(blocks) for i in range(n) for kind in kinds]
    state = dict.fromkeys([*names, *more], torch.zeros(*inner, 3, 3))
    return network_spec.backbone_spec(state)


def test_the_form_of_a_backbone() -> None:
    assert body(50, (3, 4, 6, 3), (64, 64)) == network_spec.BackboneSpec(50, 1, 64, ())
    assert body(34, (3, 4, 6, 3), (64, 64)) == network_spec.BackboneSpec(34, 1, 64, ())
    assert str(body(101, (3, 4, 23, 3), (128, 4))) == "ResNeXt-101 32x4d"
    offsets = [f"layer4.{i}.conv2.offset.weight" for i in range(3)]
    assert str(body(152, (3, 8, 36, 3), (64, 64), *offsets)) == "ResNet-152 with deformable C5"
    assert body(50, (3, 4, 6, 2), (64, 64)).depth == 50  # what is missing is named later
    with pytest.raises(
        ConversionError, match=r"its backbone has \[3, 4, 40, 3\] bottlenecks: must be a form of ResNet-18"
    ):
        body(50, (3, 4, 40, 3), (64, 64))


def test_the_form_of_a_head() -> None:
    state = {f"head.{tower}_tower.{3 * i}.weight": ONE for tower in ("cls", "bbox") for i in range(4)}
    assert network_spec.head_spec(state) == network_spec.HeadSpec(256, 4, False, False)
    state |= {"head.cls_tower.0.bias": ONE, "head.cls_tower.9.offset.weight": ONE}
    assert network_spec.head_spec(state) == network_spec.HeadSpec(256, 4, True, True)
    narrow = {"fpn.lateral.0.weight": torch.zeros(64, 512, 1, 1)}
    with pytest.raises(
        ConversionError, match=r"GroupNorm of 64 channels has 32 groups there and 8 here; must have 256"
    ):
        network_spec.head_spec(narrow)


def test_anchors_of_the_authors() -> None:
    from official_network import anchors

    state = {"backbone.body.stem.conv1.weight": ONE, "rpn.head.iou_pred.bias": ONE}
    assert official.convert(LoadedCheckpoint({**state, **anchors(6)})).anchor_scale == 6
    assert official.convert(LoadedCheckpoint(state)).anchor_scale is None
    name = "rpn.anchor_generator.cell_anchors.2"
    with pytest.raises(ConversionError, match=r"cell_anchors\.2: of shape \[3, 4\], must be \[1, 4\]: one anchor"):
        official.convert(LoadedCheckpoint({**state, **anchors(), name: torch.zeros(3, 4)}))
    with pytest.raises(ConversionError, match=r"is no square"):
        official.convert(LoadedCheckpoint({**state, **anchors(), name: torch.tensor([[0.0, 0, 7, 9]])}))
    with pytest.raises(ConversionError, match=r"anchors of \[6\.0, 8\.0\] strides: must be of the same number on all"):
        official.convert(LoadedCheckpoint({**state, **anchors(), name: anchors(6)[name]}))


def model(**more: object) -> SourceModel:
    return SourceModel("mmdet", Renamed(), "paa", "iou", **more)  # type: ignore[arg-type]


def test_classes_by_position_by_name_and_by_id() -> None:
    two = [[4, "Traffic light"], [9, "dog"]]
    assert classes.rows(model(), 2, two, "data") == [0, 1]
    assert classes.rows(model(classes=("dog", "traffic_light")), 2, two, "data") == [1, 0]
    with pytest.raises(ConversionError, match=r"its classes are others than those of data: cat$"):
        classes.rows(model(classes=("dog", "cat")), 2, two, "data")
    with pytest.raises(ConversionError, match=r"its head has 3 outputs; data has 2 classes"):
        classes.rows(model(), 3, two, "data")
    assert classes.rows(model(by_id=True), 10, two, "data") == [4, 9]
    assert classes.rows(model(by_id=True), 3, two, "data") == [1, 2]  # background, then the labels
    with pytest.raises(ConversionError, match=r"its head has 5 outputs, the background included; data has 2 classes"):
        classes.rows(model(by_id=True), 5, two, "data")


def test_whose_classes_they_are() -> None:
    known = classes.coco()
    assert (len(known), known[0], known[-1]) == (80, [1, "person"], [90, "toothbrush"])
    assert classes.categories_of(model(), 80) == known
    assert classes.categories_of(model(by_id=True), 91) == known
    assert classes.categories_of(model(classes=("a", "b")), 2) == [[1, "a"], [2, "b"]]
    with pytest.raises(ConversionError, match=r"its head has 80 outputs, which are not COCO's classes; say which"):
        classes.categories_of(model(by_id=True), 80)


def test_cocos_classes_are_those_of_its_annotations(shared) -> None:
    import json

    listed = json.loads((shared / "data" / "coco_tiny100" / "annotations" / "val.json").read_text())["categories"]
    assert [[c["id"], c["name"]] for c in sorted(listed, key=lambda c: c["id"])] == classes.coco()
