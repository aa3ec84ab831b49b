"""The authors' checkpoints: names and shapes of their code for each of their configurations, and the forward pass of a
network that is written down a second time, literally.
"""

from __future__ import annotations

from pathlib import Path

import official_network
import pytest
import torch
from official_network import C4_TO_C5, CONFIGS, Config, anchors, forward, random_state, shapes
from running import call, loaded

from paa.commands.import_checkpoint import converted
from paa.config.compose import Composer
from paa.conversion.safe_load import LoadedCheckpoint
from paa.store.paths import runs
from paa.structures import Predictions

BACKBONES = {
    "paa/paa_R_50_FPN_1x": ("resnet50", True, []),
    "paa/paa_R_101_FPN_2x": ("resnet101", True, []),
    "paa/paa_X_101_FPN_2x": ("resnext101_64x4d", False, []),
    "paa/paa_dcnv2_R_101_FPN_2x": ("resnet101_dcn", True, [3, 4, 5]),
    "paa/paa_dcnv2_X_101_32x8d_FPN_2x": ("resnext101_32x8d_dcn", False, [4, 5]),
    "paa/paa_dcnv2_X_101_64x4d_FPN_2x": ("resnext101_64x4d_dcn", False, [4, 5]),
    "paa/paa_dcnv2_X_152_32x8d_FPN_2x": ("resnext152_32x8d_dcn", False, [4, 5]),
    "paa/paa_dcnv2_X_152_32x8d_FPN_2x, as first published": ("resnext152_32x8d_dcn", False, [3, 4, 5]),
    "atss/atss_R_50_FPN_1x": ("resnet50", True, []),
}
"""Our choice of `backbone`, STRIDE_IN_1X1, and the deformable stages."""


@pytest.mark.parametrize("name", CONFIGS)
def test_their_names_and_shapes_are_taken_one_by_one(name: str) -> None:
    """On the meta device; a missing or unused name or another shape would reject the conversion."""
    config, boxes = CONFIGS[name], anchors()
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes(config).items()} | boxes
    compose = Composer()
    made = converted(Path("in.pth"), LoadedCheckpoint(state), [], compose, Path("runs"))
    kept = {key: value for key, value in state.items() if key not in boxes}
    assert sum(v.numel() for v in made.state.values()) == sum(v.numel() for v in kept.values())
    assert sorted(made.model.renamed.unused) == sorted(boxes)
    backbone = made.parts.config["backbone"]
    assert (made.choices["backbone"], backbone["stride_in_1x1"], backbone["dcn_stages"]) == BACKBONES[name]
    assert (backbone["convention"], backbone["bn_eps"], backbone["norm"]) == ("caffe", 0.0, "frozen")
    assert made.parts.config["detector"]["head"]["dcn"] is config.dcn_in_tower
    assert made.choices["auxiliary"] == {"iou_pred": "iou", "centerness": "centerness"}[config.extra]
    assert made.choices["assign"] == ("atss" if config.extra == "centerness" else "paa")
    assert made.parts.config["anchors"]["scale"] == 8
    assert len(made.categories) == 80


def flat(levels: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]) -> Predictions:
    logits, deltas, extra = (
        torch.cat([x.permute(0, 2, 3, 1).flatten(1, 2) for x in part if x is not None], 1)
        for part in zip(*levels, strict=True)
    )
    return Predictions(logits, deltas, extra.squeeze(-1))


@torch.no_grad()
def test_the_run_of_a_checkpoint_computes_what_their_network_does(tmp_path, capsys):
    config, out = Config(50), tmp_path / "runs"
    state = random_state(config)
    parallel = {f"module.{name}": value for name, value in state.items()}
    torch.save({"model": parallel, "optimizer": {"state": {}}, "iteration": 90000}, tmp_path / "r50.pth")
    ended = call(capsys, "paa.convert", str(tmp_path / "r50.pth"), str(out))
    assert ended.code == 0, ended.err
    assert "paa of the authors' release, ResNet-50, 80 classes of COCO" in ended.out
    assert "left out, not needed: rpn.anchor_generator.cell_anchors.0, " in ended.out
    (run,) = runs(out)
    compare(config, state, loaded(run).eval())


@torch.no_grad()
def test_deformable_stages_and_towers_and_groups_compute_what_theirs_do():
    config = Config(50, 32, 4, False, C4_TO_C5, True)
    state = random_state(config)
    compose = Composer()
    made = converted(Path("in.pth"), LoadedCheckpoint(dict(state)), [], compose, Path("runs"))
    made.detector.load_state_dict(made.state, assign=True)
    compare(config, state, made.detector.eval())


def compare(config: Config, state: official_network.State, detector: torch.nn.Module) -> None:
    images = 60 * torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    expected = flat(forward(config, state, images))
    found, _ = detector(images)
    assert expected.logits.std() > 0.1
    for name in ("logits", "deltas", "auxiliary"):
        right = getattr(expected, name)
        torch.testing.assert_close(getattr(found, name), right, rtol=0, atol=1e-4 * float(right.abs().max()))
