"""MMDetection's checkpoints: its own networks with random weights, and the runs converted from them.

Names and shapes of the networks that are too large to build, and of the deformable ones, whose operator mmcv-lite does
not have, are in mmdet_checkpoints.json.xz; `python tests/mmdet_checkpoints.py` writes it from MMDetection.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import mmdet_checkpoints
import mmdetection
import numpy as np
import pytest
import torch
from PIL import Image
from running import call, loaded
from torch import Tensor

from paa.commands.import_checkpoint import converted
from paa.config.compose import Composer
from paa.conversion.safe_load import LoadedCheckpoint
from paa.store.paths import runs

LISTS = mmdet_checkpoints.read()

SIDE = 128
KINDS = {"paa": "paa/paa_r50_fpn_1x_coco.py", "atss": "atss/atss_r50_fpn_1x_coco.py"}


@pytest.mark.parametrize("name", LISTS)
def test_its_names_and_shapes_are_taken_one_by_one(name: str) -> None:
    """On the meta device; a missing or unused name or another shape would reject the conversion."""
    state = {key: torch.empty(shape, device="meta") for key, shape in LISTS[name].items()}
    compose = Composer()
    made = converted(Path("in.pth"), LoadedCheckpoint(state), ["assign=paa"], compose, Path("runs"))
    mine = {key: value for key, value in made.state.items() if key != "head.scales"}
    assert len(mine) == sum(".scales." not in key for key in state)
    assert made.state["head.scales"].shape == (5,)
    assert sum(v.numel() for v in made.state.values()) == sum(v.numel() for v in state.values())
    backbone, stages = mmdet_checkpoints.EXPECTED[name]
    assert made.choices["backbone"] == backbone
    assert made.parts.config["backbone"].get("dcn_stages", []) == stages
    assert made.parts.config["detector"]["head"]["dcn"] is False


def test_the_committed_lists_are_those_of_its_code() -> None:
    mmdetection.require()
    assert mmdet_checkpoints.written_down() == LISTS


@pytest.fixture(scope="module", params=KINDS)
def its(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, Path]:
    """Return its network in evaluation mode, and a checkpoint in the format of version 2 (PAA) or 3 (ATSS)."""
    mmdetection.require()
    kind = request.param
    model, config = mmdet_checkpoints.build(KINDS[kind])
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_(_drawn(name, value, draw))
    classes = tuple(name for name in _names())
    meta: dict[str, Any] = {"epoch": 12, "seed": np.float64(1), "config": config, "CLASSES": classes}
    if kind == "atss":
        meta = {"epoch": 12, "cfg": config, "dataset_meta": {"classes": classes}}
    path = tmp_path_factory.mktemp("its") / f"{kind}.pth"
    torch.save({"meta": meta, "state_dict": model.state_dict(), "optimizer": {"state": {}}}, path)
    return kind, model.eval(), path


def _names() -> list[str]:
    from mmdet.datasets import CocoDataset

    return list(CocoDataset.METAINFO["classes"])


def _drawn(name: str, value: Tensor, draw: torch.Generator) -> Tensor:
    """Draw weights that keep the scale of the maps, with some scores above 0.05."""
    if value.dim() == 0:
        return torch.tensor(7 if name.endswith("tracked") else 0.75)
    drawn = torch.randn(value.shape, generator=draw)
    if name == "bbox_head.atss_cls.bias":
        return drawn - 4.5
    if value.dim() == 4:
        return drawn * (1 / value[0].numel()) ** 0.5
    if name.endswith(("running_var", "weight")):
        return 0.5 + drawn.abs() / 2
    return 0.2 * drawn


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write an image whose sides are not multiples of 32."""
    coarse = np.random.default_rng(3).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("picture") / "a.png"
    Image.fromarray(coarse).resize((SIDE + 27, SIDE - 10), Image.Resampling.BICUBIC).save(path)
    return path


def test_its_outputs_and_detections_are_those_of_the_run(
    its: tuple[str, Any, Path], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, model, checkpoint = its
    out = tmp_path / "runs"
    words = ("images.test.short=null", "images.test.longest=null")
    ended = call(capsys, "paa.convert", str(checkpoint), str(out), *words)
    assert ended.code == 0, ended.err
    (run,) = runs(out)
    assert f"{kind} of MMDetection, ResNet-50, 80 classes of COCO" in ended.out

    detector = loaded(run).eval()
    images = torch.randn(1, 3, SIDE, SIDE + 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = model.bbox_head(model.neck(model.backbone(images)))
        found, _ = detector(images)
    logits, deltas, extra = (torch.cat([x.permute(0, 2, 3, 1).flatten(1, 2) for x in part], 1) for part in expected)
    assert logits.std() > 0.5
    torch.testing.assert_close(found.logits, logits, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.deltas, deltas, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.auxiliary, extra.squeeze(-1), rtol=0, atol=1e-4)

    ended = call(
        capsys, "paa.predict", f"run={run.train_id}", f"runs_dir={out}", f"images={picture}", f"out={tmp_path / 'out'}",
        "pictures=false", "workers=0",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    ours = json.loads((tmp_path / "out" / "detections.json").read_text())
    theirs = _detected(model, picture)
    assert 20 < len(theirs) <= 100
    assert len(ours) == len(theirs)
    for mine, its_own in zip(ours, theirs, strict=True):
        assert mine["category_id"] == its_own[0]
        np.testing.assert_allclose(mine["score"], its_own[1], rtol=0, atol=1e-5)
        # the limit of detections; half of it is the round-off of detections.json, which has three decimals
        np.testing.assert_allclose(mine["bbox"], its_own[2], rtol=0, atol=1e-3)


def _detected(model: Any, picture: Path) -> list[tuple[int, float, list[float]]]:
    """Return (category, score, xywh) of each of its detections for a stored image, best first."""
    from mmdet.structures import DetDataSample

    from paa.conversion.classes import coco

    pixels = np.asarray(Image.open(picture).convert("RGB"))
    sample = DetDataSample()
    shape = pixels.shape[:2]
    sample.set_metainfo({"img_shape": shape, "ori_shape": shape, "scale_factor": (1.0, 1.0), "pad_shape": shape})
    bgr = torch.from_numpy(pixels[:, :, ::-1].copy()).permute(2, 0, 1)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = model.test_step({"inputs": [bgr], "data_samples": [sample]})[0].pred_instances
    boxes = torch.cat([found.bboxes[:, :2], found.bboxes[:, 2:] - found.bboxes[:, :2]], 1)
    order = found.scores.argsort(descending=True, stable=True).tolist()
    ids = [i for i, _ in coco()]
    return [(ids[int(found.labels[i])], float(found.scores[i]), boxes[i].tolist()) for i in order]
